"""Manifests, and labels from folders."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from falldet.data.manifest import DEFAULT_DESCENT_S, FallInterval, clips_from_folder, read_manifest
from falldet.errors import FalldetError


def write(path: Path, *lines: str) -> Path:
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def test_read_manifest_needs_two_columns(tmp_path: Path) -> None:
    fall, other, *numbered = read_manifest(
        write(tmp_path / "m.csv", "path,label", "x/a.mp4,fall", "b.mp4,ADL", "c.mp4,1", "d.mp4,0")
    )
    assert (fall.path, fall.label, fall.subject, fall.split) == (tmp_path / "x/a.mp4", 1, "a", None)
    assert (other.label, other.fall_intervals) == (0, ())
    assert [record.label for record in numbered] == [1, 0]


def test_read_manifest_turns_frame_numbers_into_seconds(tmp_path: Path) -> None:
    header = "path,label,subject,split,fps,fall_start,fall_end,event_end"
    (record,) = read_manifest(write(tmp_path / "m.csv", header, "a.mp4,fall,s1,test,10,5;40;90,14;;99,29;59;"))
    assert (record.subject, record.split) == ("s1", "test")
    assert record.fall_intervals == (
        FallInterval(0.5, 1.5, True),
        FallInterval(4.0, 6.0, False),
        FallInterval(9.0, 10.0, True),
    )


def test_read_manifest_searches_a_path_in_the_manifests_folder_and_one_above(tmp_path: Path) -> None:
    (tmp_path / "set").mkdir()
    (tmp_path / "set" / "a.mp4").touch()
    manifest = write(tmp_path / "set" / "m.csv", "path,label", "a.mp4,fall", "set/a.mp4,fall", "gone.mp4,fall")
    assert [r.path for r in read_manifest(manifest)] == [
        tmp_path / "set/a.mp4",
        tmp_path / "set/a.mp4",
        tmp_path / "set/gone.mp4",
    ]
    assert read_manifest(manifest, root="/videos")[0].path == Path("/videos/a.mp4")


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (["path,kind", "a.mp4,fall"], r"m\.csv:1: no column 'label'"),
        (["", "a.mp4,fall"], r"m\.csv:1: no column 'path'"),
        (["path,label", "a.mp4,fall", "b.mp4,jump"], r"m\.csv:3: unknown label 'jump'; write fall or not_fall"),
        (["path,label", "a.mp4"], r"m\.csv:2: unknown label ''"),
        (["path,label", ",fall"], r"m\.csv:2: path is blank"),
        (["path,label,split", "a.mp4,fall,dev"], r"m\.csv:2: unknown split 'dev'"),
        (["path,label"], r"lists no clip"),
        (["path,label,fall_start,fall_end", "a.mp4,fall,1,2"], r"m\.csv:2: fps = '' is not a number"),
        (["path,label,fps,fall_start,fall_end", "a.mp4,fall,0,1,2"], r"fps = 0 must be above 0"),
        (["path,label,fps,fall_start,fall_end", "a.mp4,fall,30,x,2"], r"fall_start = 'x' is not a number"),
        (["path,label,fps,fall_start,fall_end", "a.mp4,fall,30,9,2"], r"can't go from frame 9 to 2"),
        (["path,label,fps,fall_start", "a.mp4,fall,30,9"], r"has neither fall_end nor event_end"),
        (["path,label,fps,fall_start,fall_end", "a.mp4,adl,30,1,2"], r"label is not_fall, but fall_start is '1'"),
    ],
)
def test_read_manifest_names_a_wrong_line(tmp_path: Path, lines: list[str], message: str) -> None:
    with pytest.raises(FalldetError, match=message):
        read_manifest(write(tmp_path / "m.csv", *lines))


def test_read_manifest_tells_of_an_unreadable_file_in_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "m.csv").write_bytes(b"path,label\n\xff\xfe\x00,fall\n")
    for path, message in ((tmp_path / "m.csv", "UTF-8"), (tmp_path / "x.csv", "no manifest"), (tmp_path, "read")):
        with pytest.raises(FalldetError, match=message):
            read_manifest(path)


def test_read_manifest_finds_the_clips_of_the_shared_data(shared_data: Path) -> None:
    records = [
        r for name in ("urfd", "gmdcsa24", "survnofight") for r in read_manifest(shared_data / name / "manifest.csv")
    ]
    assert all(record.path.is_file() for record in records)
    counts = Counter((record.split, record.label) for record in records)
    assert counts == {
        ("train", 1): 44, ("train", 0): 129, ("val", 1): 15, ("val", 0): 32, ("test", 1): 15, ("test", 0): 38,
    }  # fmt: skip
    assert sum(len(record.fall_intervals) for record in records) == 74


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
    records = clips_from_folder(tmp_path)
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
    assert [record.label for record in clips_from_folder(tmp_path / "fall")] == [1]


def test_clips_from_folder_counts_videos_without_a_label_in_a_warning(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    touch(tmp_path, "fall/a.mp4", "b.mp4", "x/c.mp4")
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


@pytest.mark.parametrize(
    ("interval", "descent"),
    [
        (FallInterval(1.0, 2.5, True), (1.0, 2.5)),
        (FallInterval(1.0, 9.0, False), (1.0, 1.0 + DEFAULT_DESCENT_S)),
        (FallInterval(1.0, 1.5, False), (1.0, 1.5)),
    ],
    ids=["end known", "whole event", "short event"],
)
def test_fall_interval_descent_is_labeled_or_assumed(interval: FallInterval, descent: tuple[float, float]) -> None:
    assert interval.descent == pytest.approx(descent)
