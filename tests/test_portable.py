"""Nothing that only Unix has; nothing that depends on the machine's own encoding."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import yaml

import roottip

ROOT = Path(__file__).parents[1]
SAMPLE = ROOT / "data" / "sample"

UNIX_MODULES = {"fcntl", "grp", "posix", "pty", "pwd", "resource", "syslog", "termios", "tty"}
UNIX_CALLS = {
    *("os.fork", "os.forkpty", "os.killpg", "os.setsid", "os.getpgid", "os.getuid", "os.geteuid"),
    *("os.chown", "os.mkfifo", "os.nice", "os.uname", "os.getloadavg", "os.wait", "os.WNOHANG"),
    *("signal.SIGKILL", "signal.SIGHUP", "signal.SIGALRM", "signal.alarm", "signal.pause"),
    *("signal.SIGUSR1", "signal.SIGCHLD", "signal.pthread_sigmask", "time.tzset"),
}


def test_no_call_that_only_unix_has():
    for path in (ROOT / "roottip").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            used: set[str | None] = set()
            if isinstance(node, ast.Import):
                used = {alias.name for alias in node.names}
            elif isinstance(node, ast.ImportFrom):
                used = {node.module}
            elif isinstance(node, ast.Attribute):
                used = {ast.unparse(node)}
            assert not used & (UNIX_MODULES | UNIX_CALLS), f"{path}:{node.lineno}"


def test_no_file_is_read_or_written_in_the_machines_own_encoding(tmp_path, few):
    found = tmp_path / "found"
    runs = [
        ["detect", f"input={SAMPLE / 'images' / 'plate_0001.jpg'}", f"output={found}"],
        ["compare", f"data={few}", "detectors=[baseline]", f"output={tmp_path / 'compared'}"],
        *(
            ["convert", f"input={found / 'tips.csv'}", f"images={found / 'images.csv'}", *words]
            for words in (
                [f"output={tmp_path / 'cvat.xml'}"],
                [f"output={tmp_path / 'coco.json'}", "output_format=coco"],
                [f"output={tmp_path / 'tasks.json'}", "output_format=labelstudio"],
                [f"output={tmp_path / 'napari'}", "output_format=napari"],
                [f"output={tmp_path / 'yolo'}", "output_format=yolo"],
                [f"output={tmp_path / 'rsml'}", "output_format=rsml"],
            )
        ),
    ]
    code = (
        "import warnings\n"
        "warnings.filterwarnings('error', category=EncodingWarning, module=r'roottip\\.')\n"
        "from roottip.app import main\n"
        f"codes = [main(words) for words in {runs!r}]\n"
        "assert not any(codes), codes"
    )
    checked = [sys.executable, "-X", "warn_default_encoding", "-c", code]
    result = subprocess.run(checked, capture_output=True, encoding="utf-8")
    assert result.returncode == 0, result.stderr


def test_the_citation_is_of_this_version():
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    assert citation["version"] == roottip.__version__
    assert citation["license"] in (ROOT / "pyproject.toml").read_text(encoding="utf-8")
