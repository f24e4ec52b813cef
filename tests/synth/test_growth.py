from __future__ import annotations

import hashlib
import subprocess
import sys

import numpy as np
import pytest

from roottip.errors import InputError
from roottip.synth import growth
from roottip.synth.growth import SPECIES, beside, grow, on_day

pytest.importorskip("plantbox")

DIGEST = """
import hashlib
from roottip.synth.growth import grow
lines = b"".join(root.line.tobytes() for root in grow("lupin", 6, 3, 150, 200))
print(hashlib.sha256(lines).hexdigest())
"""


@pytest.mark.parametrize("species", SPECIES)
def test_every_species_grows_inside_its_layer(species):
    roots = grow(species, 7, 1, 120, 200)
    line = np.concatenate([root.line for root in roots])
    assert np.abs(line[:, 0]).max() < 61
    assert line[:, 1].min() > -2
    assert line[:, 1].max() < 202
    assert roots[0].order == 0
    # a lateral begins on the root it grows from
    known = {root.id: root for root in roots}
    for root in roots:
        assert 0.09 < root.radius < 2.1  # mm
        if root.parent >= 0:
            above = known[root.parent]
            assert root.order == above.order + 1
            assert np.linalg.norm(above.line - root.line[0], axis=1).min() < 1e-6


def test_the_same_seed_grows_the_same_roots_in_another_process():
    ours = b"".join(root.line.tobytes() for root in grow("lupin", 6, 3, 150, 200))
    theirs = subprocess.run([sys.executable, "-c", DIGEST], capture_output=True, text=True)
    assert theirs.stderr == ""  # CPlantBox does not chatter
    assert theirs.stdout.split() == [hashlib.sha256(ours).hexdigest()]
    assert ours != b"".join(root.line.tobytes() for root in grow("lupin", 6, 4, 150, 200))


def test_earlier_days_are_the_same_roots_shorter():
    roots = grow("wheat", 9, 2, 150, 200)
    before: dict[int, np.ndarray] = {}
    for day in (2, 4, 6.5, 9):
        today = {root.id: root.line for root in on_day(roots, day)}
        assert before.keys() <= today.keys()
        for name, line in before.items():
            # all but the last point lie on the grown line itself, and it is never shorter
            assert np.array_equal(line[:-1], today[name][: len(line) - 1])
            assert len(today[name]) >= len(line)
        before = today
    assert before.keys() == {root.id for root in roots}


def test_a_neighbour_ends_beside_the_tip():
    root = max(grow("barley", 6, 1, 150, 200), key=lambda root: len(root.line))
    twin = beside(root, gap=1.5, together=0.3, shorter=0.0, new_id=99)
    assert np.linalg.norm(twin.line[-1] - root.line[-1]) == pytest.approx(1.5, abs=0.1)
    assert np.array_equal(twin.line[: len(root.line) // 4], root.line[: len(root.line) // 4])


def test_unknown_species_and_a_missing_cplantbox_are_one_sentence(monkeypatch):
    with pytest.raises(InputError, match=r"no species 'oak'; there is barley, cabbage, .*wheat"):
        growth.check_species(["wheat", "oak"])
    monkeypatch.setitem(sys.modules, "plantbox", None)
    with pytest.raises(InputError, match=r"needs plantbox.*pip install 'roottip\[synth\]'"):
        grow("wheat", 3, 1, 100, 100)
