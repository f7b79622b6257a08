"""run_folder: a folder for each run, stale temporary files swept, nothing left by a run that records nothing."""

from __future__ import annotations

import os
import threading
from pathlib import Path

import pytest

from falldet.errors import FalldetError
from falldet.io.files import atomic_path
from falldet.runtime.run_folder import RECORD, run_folder


def test_run_folder_numbers_folders_that_hold_a_record(tmp_path: Path) -> None:
    found = []
    for _ in range(3):
        with run_folder(tmp_path / "deep" / "video") as folder:
            found.append(folder.name)
    assert found == ["video", "video-2", "video-3"]


def test_run_folder_gives_runs_of_the_same_moment_a_folder_each(tmp_path: Path) -> None:
    begin, found = threading.Barrier(8), []

    def claim() -> None:
        begin.wait()
        with run_folder(tmp_path / "video") as folder:
            found.append(folder)

    threads = [threading.Thread(target=claim) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(found)) == 8


@pytest.mark.parametrize("existing", ["", "deep", "deep/video"])
def test_run_folder_leaves_nothing_where_nothing_is_recorded(tmp_path: Path, existing: str) -> None:
    (tmp_path / existing).mkdir(parents=True, exist_ok=True)
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(ZeroDivisionError), run_folder(tmp_path / "deep" / "video"):
        raise ZeroDivisionError
    assert sorted(tmp_path.rglob("*")) == before


def record_and_fail(folder: Path) -> None:
    (folder / RECORD).write_text("an event\n")
    raise ZeroDivisionError


def test_run_folder_keeps_what_a_run_that_fails_has_recorded(tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError), run_folder(tmp_path / "video") as folder:
        record_and_fail(folder)
    assert (tmp_path / "video" / RECORD).read_text() == "an event\n"


def test_run_folder_sweeps_the_folders_of_killed_runs(tmp_path: Path) -> None:
    with run_folder(tmp_path / "video") as folder:
        (folder / ".scores.csv.abcd1234.part").touch()
        (folder / "notes.part").touch()
        with atomic_path(folder / "timeline.png") as part, run_folder(tmp_path / "video"):
            assert part.exists()
            assert sorted(os.listdir(folder)) == sorted([RECORD, "notes.part", part.name])


def test_run_folder_works_from_the_current_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    with run_folder(Path(".")) as first, run_folder(Path(".")) as second:
        assert (first, second) == (Path("."), tmp_path / "here-2")


def test_run_folder_names_a_place_that_can_not_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with (
        pytest.raises(FalldetError, match=r"can't write .*file/video: Not a directory"),
        run_folder(tmp_path / "file" / "video"),
    ):
        pass
