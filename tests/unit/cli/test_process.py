"""process.run: exit codes, and sentences instead of tracebacks."""

from __future__ import annotations

import pytest

from falldet.cli import process
from falldet.errors import FalldetError


@pytest.mark.parametrize(
    ("main", "code", "said"),
    [
        (lambda: None, 0, ""),
        (lambda: 0, 0, ""),
        (lambda: 3, 3, ""),
    ],
)
def test_run_leaves_with_the_code_that_main_returns(
    main, code: int, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as left:
        process.run(main)
    assert left.value.code == code
    assert capsys.readouterr().err == said


def raising(error: BaseException):
    def main() -> int:
        raise error

    return main


def test_run_tells_a_mistake_of_the_user_in_one_sentence_with_exit_code_2(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as left:
        process.run(raising(FalldetError("no such video: x.mp4; check the path")))
    assert left.value.code == 2
    assert capsys.readouterr().err == "error: no such video: x.mp4; check the path\n"


def test_run_leaves_with_130_after_ctrl_c(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as left:
        process.run(raising(KeyboardInterrupt()))
    assert left.value.code == 130
    assert "Ctrl-C" in capsys.readouterr().err


def test_run_keeps_the_traceback_of_a_defect() -> None:
    with pytest.raises(ZeroDivisionError):
        process.run(raising(ZeroDivisionError()))
