"""Standard output that is closed, full, or without a reader."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
CODE = """
import sys, time
from pathlib import Path
from falldet.cli.process import run
def main():
    for number in range(3):
        print("line", number, flush=True)
        time.sleep(0.1)
    print("the end")
    opened = open(sys.argv[1], "w")
    assert opened.fileno() > 2, opened.fileno()
    opened.write("the record")
    opened.close()
run(main)
"""


@pytest.mark.parametrize(
    ("redirection", "code", "err"),
    [
        ("", 0, ""),
        (">&-", 0, ""),
        (">&- 2>&- <&-", 0, ""),
        ("2>/dev/full", 0, ""),
        ("| head -n 1", 0, ""),
        (
            "> /dev/full",
            1,
            "error: standard output can't be written: No space left on device; results in files are not concerned\n",
        ),
    ],
)
def test_run_goes_on_without_standard_output(tmp_path: Path, redirection: str, code: int, err: str) -> None:
    command = f'"{sys.executable}" -c "$0" record {redirection}; exit ${{PIPESTATUS[0]}}'
    done = subprocess.run(
        ["bash", "-c", command, CODE],
        cwd=tmp_path,
        env={"PYTHONPATH": str(ROOT), "PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (code, err)
    assert (tmp_path / "record").read_text() == "the record"
