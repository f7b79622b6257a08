"""Exit codes, sentences instead of tracebacks, and Ctrl-C."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from falldet.errors import FalldetError
from falldet.runtime import signals as cli


@pytest.mark.parametrize(
    ("main", "code", "said"),
    [
        (lambda: None, 0, ""),
        (lambda: 0, 0, ""),
        (lambda: 3, 3, ""),
    ],
)
def test_exit_code_is_what_main_returns(main, code: int, said: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as left:
        cli.run(main)
    assert left.value.code == code
    assert capsys.readouterr().err == said


def raising(error: BaseException):
    def main() -> int:
        raise error

    return main


def test_a_users_mistake_is_one_sentence_and_exit_code_2(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as left:
        cli.run(raising(FalldetError("no such video: x.mp4; check the path")))
    assert left.value.code == 2
    assert capsys.readouterr().err == "error: no such video: x.mp4; check the path\n"


def test_ctrl_c_is_exit_code_130(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as left:
        cli.run(raising(KeyboardInterrupt()))
    assert left.value.code == 130
    assert "Ctrl-C" in capsys.readouterr().err


def test_a_defect_keeps_its_traceback() -> None:
    with pytest.raises(ZeroDivisionError):
        cli.run(raising(ZeroDivisionError()))


def start(code: str) -> subprocess.Popen[str]:
    process = subprocess.Popen(
        [sys.executable, "-c", code],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).resolve().parents[3],
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    return process


WAITING = """
import time
from falldet.runtime import signals as cli
def main():
    with cli.stop_on_request() as stop:
        print("ready", flush=True)
        stop.wait(20)
        print("asked to stop", flush=True)
        {then}
cli.run(main)
"""


def test_the_first_ctrl_c_asks_and_the_run_ends_in_its_own_way() -> None:
    process = start(WAITING.format(then="return 5"))
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=20)
    assert (process.returncode, out, err) == (5, "asked to stop\n", "")


def test_the_second_ctrl_c_interrupts_at_once() -> None:
    process = start(WAITING.format(then="time.sleep(20)"))
    process.send_signal(signal.SIGINT)
    assert process.stdout is not None
    assert process.stdout.readline() == "asked to stop\n"
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=15)
    assert process.returncode == 130
    assert "Traceback" not in err


def test_ctrl_c_works_as_before_afterwards() -> None:
    code = """
import time
from falldet.runtime import signals as cli
def main():
    with cli.stop_on_request():
        pass
    print("ready", flush=True)
    time.sleep(20)
cli.run(main)
"""
    process = start(code)
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=15)
    assert process.returncode == 130


def test_the_handler_of_before_is_back_and_other_threads_get_an_event_too() -> None:
    before = signal.getsignal(signal.SIGINT)
    with cli.stop_on_request() as stop:
        assert signal.getsignal(signal.SIGINT) is not before
        assert not stop.is_set()
    assert signal.getsignal(signal.SIGINT) is before
    found: list[bool] = []

    def elsewhere() -> None:
        with cli.stop_on_request() as stop:
            found.append(stop.is_set())

    thread = threading.Thread(target=elsewhere)
    thread.start()
    thread.join()
    assert found == [False]
