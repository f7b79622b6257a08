"""A task mapped over clips: the same outcomes in one process and in several, and clean ends."""

from __future__ import annotations

import multiprocessing
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from falldet.errors import FalldetError
from falldet.runtime import parallel
from falldet.runtime.parallel import available_cores, map_clips

ROOT = Path(__file__).resolve().parents[3]


@dataclass(frozen=True)
class Tenfold:
    """Returns ten times a number; 3 can't be used, 7 is a defect, and 9 kills its worker process."""

    def load(self, stop_if_asked: Callable[[], None]) -> Callable[[int], int]:
        def work(number: int) -> int:
            stop_if_asked()
            if number == 3:
                raise FalldetError("3 can't be used")
            if number == 7:
                raise ZeroDivisionError
            if number == 9 and multiprocessing.parent_process() is not None:
                os.kill(os.getpid(), signal.SIGKILL)
            time.sleep(0.01 * (number % 2))  # outcomes arrive in another order
            return 10 * number

        return work


@dataclass(frozen=True)
class Interrupted:
    """Notes each clip that is begun in a folder, and asks to stop at the second one."""

    folder: Path

    def load(self, stop_if_asked: Callable[[], None]) -> Callable[[int], int]:
        def work(number: int) -> int:
            (self.folder / str(number)).touch()
            if number == 1:
                signal.raise_signal(signal.SIGINT)
            stop_if_asked()
            return number

        return work


def told(outcomes: list) -> list:
    return [str(outcome) if isinstance(outcome, FalldetError) else outcome for outcome in outcomes]


@pytest.mark.parametrize("jobs", [1, 3])
def test_map_clips_gives_the_outcomes_in_order_and_errors_per_clip(jobs: int) -> None:
    assert told(map_clips(Tenfold(), range(6), jobs)) == [0, 10, 20, "3 can't be used", 40, 50]
    assert multiprocessing.active_children() == []


@pytest.mark.parametrize("jobs", [1, 3])
def test_map_clips_of_no_clip_is_empty(jobs: int) -> None:
    assert map_clips(Tenfold(), [], jobs) == []


@pytest.mark.parametrize("jobs", [1, 2])
def test_map_clips_raises_a_defect(jobs: int) -> None:
    with pytest.raises(ZeroDivisionError):
        map_clips(Tenfold(), [1, 7, 2], jobs)
    assert multiprocessing.active_children() == []


@pytest.mark.parametrize("jobs", [0, -1])
def test_map_clips_refuses_too_few_jobs(jobs: int) -> None:
    with pytest.raises(FalldetError, match=f"jobs = {jobs} must be at least 1"):
        map_clips(Tenfold(), [1], jobs)


def test_map_clips_tells_of_a_killed_worker_in_one_sentence() -> None:
    with pytest.raises(FalldetError, match=r"a worker process was killed.*use fewer --jobs"):
        map_clips(Tenfold(), [1, 9, 2], 2)
    assert multiprocessing.active_children() == []


def test_map_clips_stops_within_a_clip_at_ctrl_c(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        map_clips(Interrupted(tmp_path), range(5), 1)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["0", "1"]
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_map_clips_ends_every_process_at_ctrl_c(monkeypatch: pytest.MonkeyPatch) -> None:
    wait = parallel.wait

    def interrupted(*arguments: object) -> object:
        signal.raise_signal(signal.SIGINT)
        return wait(*arguments)

    monkeypatch.setattr(parallel, "wait", interrupted)
    with pytest.raises(KeyboardInterrupt):
        map_clips(Tenfold(), range(50), 2)
    assert multiprocessing.active_children() == []
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


LONG_RUN = """
import os, time
from dataclasses import dataclass
from falldet.runtime.parallel import map_clips

@dataclass(frozen=True)
class Slow:
    def load(self, stop_if_asked):
        def work(number):
            os.write(1, f"{os.getpid()}\\n".encode())
            for _ in range(400):
                time.sleep(0.05)
                stop_if_asked()
        return work

if __name__ == "__main__":
    try:
        map_clips(Slow(), range(4), 2)
    except KeyboardInterrupt:
        print("interrupted", flush=True)
"""


def test_map_clips_ends_the_whole_process_group_at_ctrl_c(tmp_path: Path) -> None:
    """Ctrl-C in a terminal reaches all processes of the group: the workers leave it to their parent."""
    (tmp_path / "run.py").write_text(LONG_RUN, encoding="utf-8")
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    process = subprocess.Popen(
        [sys.executable, tmp_path / "run.py"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment,
        start_new_session=True,
    )
    assert process.stdout is not None
    workers = [int(process.stdout.readline()) for _ in range(2)]
    os.killpg(process.pid, signal.SIGINT)
    out, err = process.communicate(timeout=30)
    assert out.splitlines()[-1] == "interrupted"
    assert "Traceback" not in err
    for worker in workers:
        with pytest.raises(ProcessLookupError):
            os.kill(worker, 0)


def test_available_cores_finds_at_least_one() -> None:
    assert available_cores() >= 1
