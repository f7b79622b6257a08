"""clips_from_folder: labels from folders, and a reason for every file that is not used."""

from __future__ import annotations

import logging
import os
from pathlib import Path

import pytest

from falldet.data.folder import clips_from_folder
from falldet.errors import FalldetError


def touch(folder: Path, *names: str) -> None:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()


def test_clips_from_folder_takes_labels_and_subjects_from_folders(tmp_path: Path) -> None:
    touch(
        tmp_path,
        "fall/b.mp4",
        "fall/a.AVI",
        "fall/ann/x.mp4",
        "not_fall/c.mkv",
        "site 2/Not-Fall/bob/1/d.mov",
        "ADL/e.webm",
    )
    touch(tmp_path, "fall/notes.txt", "fall/.a.mp4", ".trash/fall/z.mp4", "other/f.mp4", "no fall/g.mp4")
    records = clips_from_folder(tmp_path).clips
    assert [(r.path.relative_to(tmp_path).as_posix(), r.label, r.subject) for r in records] == [
        ("ADL/e.webm", 0, "e"),
        ("fall/a.AVI", 1, "a"),
        ("fall/ann/x.mp4", 1, "ann"),
        ("fall/b.mp4", 1, "b"),
        ("no fall/g.mp4", 0, "g"),
        ("not_fall/c.mkv", 0, "c"),
        ("site 2/Not-Fall/bob/1/d.mov", 0, "bob"),
    ]


def test_clips_from_folder_takes_the_folder_of_one_class(tmp_path: Path) -> None:
    touch(tmp_path, "fall/a.mp4")
    assert [record.label for record in clips_from_folder(tmp_path / "fall").clips] == [1]


def test_clips_from_folder_counts_videos_without_a_label_in_a_warning(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    touch(tmp_path, "fall/a.mp4", "b.mp4", "x/c.mp4")
    caplog.set_level(logging.WARNING)
    clips_from_folder(tmp_path)
    assert "skipped 2 videos" in caplog.text


def test_clips_from_folder_shows_the_layout_where_no_class_is_found(tmp_path: Path) -> None:
    with pytest.raises(FalldetError, match=r"no video in a folder named fall or not_fall.*videos/fall/\*\.mp4"):
        clips_from_folder(tmp_path)
    touch(tmp_path, "a.mp4")
    with pytest.raises(FalldetError, match="1 videos, none of them in a folder"):
        clips_from_folder(tmp_path)
    with pytest.raises(FalldetError, match="no folder"):
        clips_from_folder(tmp_path / "gone")


def test_clips_from_folder_tells_the_files_that_are_not_used(tmp_path: Path) -> None:
    touch(tmp_path, "fall/a.mp4", "fall/b.MTS", "fall/c.264", "fall/d.rmvb", "fall/notes.txt", "fall/README", "x/e.rmvb")
    touch(tmp_path, "fall/...mp4", "fall/._a.mp4", "fall/.hidden")
    os.mkfifo(tmp_path / "fall" / "pipe.mp4")
    (tmp_path / "fall" / "gone.mp4").symlink_to(tmp_path / "none.mp4")
    (tmp_path / "fall" / "self.mp4").symlink_to(tmp_path / "fall" / "self.mp4")
    found = clips_from_folder(tmp_path)
    assert [clip.path.name for clip in found.clips] == ["a.mp4", "b.MTS", "c.264"]
    reasons = {path.name: reason for path, reason in found.left_out}
    assert set(reasons) == {"d.rmvb", "pipe.mp4", "gone.mp4", "self.mp4", "...mp4"}
    assert "unknown suffix .rmvb" in reasons["d.rmvb"]
    assert "no file" in reasons["pipe.mp4"]


def test_clips_from_folder_follows_links_to_folders_once(tmp_path: Path) -> None:
    touch(tmp_path, "elsewhere/1/a.mp4", "videos/not_fall/b.mp4")
    (tmp_path / "videos" / "fall").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "elsewhere" / "1" / "up").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "videos" / "again").symlink_to(tmp_path / "videos")
    assert [clip.path.name for clip in clips_from_folder(tmp_path / "videos").clips] == ["a.mp4", "b.mp4"]


def test_clips_from_folder_takes_names_that_are_not_utf_8(tmp_path: Path) -> None:
    touch(tmp_path, "fall/a.mp4")
    name = os.fsdecode(b"fall/\xff\x1b[31m.mp4")
    touch(tmp_path, name)
    assert {clip.path.name for clip in clips_from_folder(tmp_path).clips} == {"a.mp4", Path(name).name}
