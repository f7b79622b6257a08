"""stop_on_request: the first Ctrl-C asks, the second one interrupts."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from falldet.runtime.signals import stop_on_request


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
from falldet.cli.process import run
from falldet.runtime.signals import stop_on_request
def main():
    with stop_on_request() as stop:
        print("ready", flush=True)
        stop.wait(20)
        print("asked to stop", flush=True)
        {then}
run(main)
"""


def test_stop_on_request_lets_the_run_end_in_its_own_way_after_the_first_ctrl_c() -> None:
    process = start(WAITING.format(then="return 5"))
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=20)
    assert (process.returncode, out, err) == (5, "asked to stop\n", "")


def test_stop_on_request_interrupts_at_the_second_ctrl_c() -> None:
    process = start(WAITING.format(then="time.sleep(20)"))
    process.send_signal(signal.SIGINT)
    assert process.stdout is not None
    assert process.stdout.readline() == "asked to stop\n"
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=15)
    assert process.returncode == 130
    assert "Traceback" not in err


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_stop_on_request_takes_sigterm_and_sighup_for_requests(number: signal.Signals) -> None:
    process = start(WAITING.format(then="raise stop.interruption()"))
    process.send_signal(number)
    out, err = process.communicate(timeout=20)
    assert (process.returncode, out) == (128 + number, "asked to stop\n")
    assert err == f"\nstopped by {number.name}; finished results are kept\n"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_interrupt_on_request_ends_other_work_with_its_own_code(number: signal.Signals) -> None:
    code = "import time\nfrom falldet.cli.process import run\n"
    process = start(code + "run(lambda: [print('ready', flush=True), time.sleep(20)][1])")
    process.send_signal(number)
    _, err = process.communicate(timeout=20)
    assert process.returncode == 128 + number
    assert err == f"\nstopped by {number.name}; finished results are kept\n"


def test_stop_on_request_leaves_nohup_its_effect() -> None:
    waiting = WAITING.format(then="return 5").replace("stop.wait(20)", "stop.wait(0.5)")
    process = start(f"import signal\nsignal.signal(signal.SIGHUP, signal.SIG_IGN)\n{waiting}")
    process.send_signal(signal.SIGHUP)
    process.communicate(timeout=20)
    assert process.returncode == 5


def test_stop_on_request_leaves_ctrl_c_as_it_was() -> None:
    code = """
import time
from falldet.cli.process import run
from falldet.runtime.signals import stop_on_request
def main():
    with stop_on_request():
        pass
    print("ready", flush=True)
    time.sleep(20)
run(main)
"""
    process = start(code)
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=15)
    assert process.returncode == 130


def test_stop_on_request_restores_the_handler_and_works_in_other_threads() -> None:
    before = signal.getsignal(signal.SIGINT)
    with stop_on_request() as stop:
        assert signal.getsignal(signal.SIGINT) is not before
        assert not stop.is_set()
    assert signal.getsignal(signal.SIGINT) is before
    found: list[bool] = []

    def elsewhere() -> None:
        with stop_on_request() as stop:
            found.append(stop.is_set())

    thread = threading.Thread(target=elsewhere)
    thread.start()
    thread.join()
    assert found == [False]
