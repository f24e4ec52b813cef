# `make demo` and `make test` each make .venv and install what they need.

PYTHON ?= python3
BIN := .venv/bin

# where it is set, every process that a test starts would compile all that it imports anew
unexport PYTHONDONTWRITEBYTECODE

.PHONY: demo test suite check docs lowest clean

demo: .venv/core
	$(BIN)/roottip demo output=out/demo

# both at once: mypy alone would leave all processors but one idle
test: .venv/dev
	$(MAKE) --jobs=2 check suite

# a process for each processor: threads besides would only wait for each other; a file is one's, so that
# what its tests share is made once
suite: .venv/dev
	OMP_NUM_THREADS=1 $(BIN)/pytest -n auto --dist loadfile --no-loadscope-reorder

check: .venv/dev
	$(BIN)/ruff format --check
	$(BIN)/ruff check
	$(BIN)/mypy
	$(BIN)/lint-imports

# the site, in out/site
docs: .venv/dev
	PATH="$(CURDIR)/$(BIN):$$PATH" $(BIN)/mkdocs build --strict

# the tests of the core with the oldest releases that pyproject.toml allows
lowest: .venv/dev
	$(BIN)/python scripts/lowest.py out/lowest

.venv/core: pyproject.toml
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --editable .
	touch $@

# all at once, and without a cache of bytecode, of which tests need a part: a minute less
.venv/dev: pyproject.toml
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --no-compile --editable '.[dev]'
	touch .venv/core $@

clean:
	rm -rf .venv out
