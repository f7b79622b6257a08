"""Manifests, and labels from folders."""

from __future__ import annotations

import os
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest

from falldet.data.manifest import DEFAULT_DESCENT_S, ClipRecord, FallInterval, check_times, read_manifest
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
        (["path,label,fall_start,fall_end", "a.mp4,fall,1,2"], r"m\.csv:2: fps is blank"),
        (["path,label,fps,fall_start,fall_end", "a.mp4,fall,0,1,2"], r"fps = 0 must be above 0"),
        (["path,label,fps,fall_start,fall_end", "a.mp4,fall,30,x,2"], r"fall_start = 'x' is not a number"),
        (["path,label,fps,fall_start,fall_end", "a.mp4,fall,30,9,2"], r"can't go from '9' to '2'"),
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


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
@pytest.mark.parametrize("separator", [",", ";", "\t", "|"])
@pytest.mark.parametrize("first", ["", "sep={separator}\n"])
def test_read_manifest_reads_tables_as_people_save_them(
    tmp_path: Path, separator: str, encoding: str, first: str
) -> None:
    lines = ['Path,LABEL,Split,FPS,Fall Start,Fall-End', 'x\\a.mp4,Fall,Train,"29,97",82,111', "b.mp4,not fall,,,,", ",,,,,"]
    text = "\r\n".join(lines).replace('"29,97"', "29#97").replace(",", separator).replace("29#97", '"29,97"')
    (tmp_path / "x").mkdir()
    (tmp_path / "x" / "a.mp4").touch()
    (tmp_path / "m.csv").write_bytes((first.format(separator=separator) + text).encode(encoding))
    fall, other = read_manifest(tmp_path / "m.csv")
    assert (fall.path, fall.label, fall.split, other.label) == (tmp_path / "x" / "a.mp4", 1, "train", 0)
    assert fall.fall_intervals == (FallInterval(82 / 29.97, 112 / 29.97, True),)
    assert fall.place.endswith("m.csv:3" if first else "m.csv:2")


def test_read_manifest_reads_seconds_in_columns_of_their_own(tmp_path: Path) -> None:
    header = "path;label;fall_start_s;fall_end_s;event_end_s"
    (record,) = read_manifest(write(tmp_path / "m.csv", header, 'a.mp4;fall;"2,7;9";"3,7;";";12,5"'))
    assert record.fall_intervals == (FallInterval(2.7, 3.7, True), FallInterval(9.0, 12.5, False))


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("a.mp4,fall,30,2.7,3.7", r"m\.csv:2: .*no frame numbers; write seconds into fall_start_s"),
        ("a.mp4,fall,30,2,3", r"m\.csv:2: the fall lasts 0\.067 s"),
        ("a.mp4,fall,,82,111", r"m\.csv:2: fps is blank"),
        ("a.mp4,fall,30,2,7,3,7", r"m\.csv:2: 7 values for 5 columns; quote"),
        ("a\0.mp4,fall,,,", r"m\.csv:2: path = .* is no path"),
    ],
)
def test_read_manifest_names_the_line_of_doubtful_times(tmp_path: Path, line: str, message: str) -> None:
    with pytest.raises(FalldetError, match=message):
        read_manifest(write(tmp_path / "m.csv", "path,label,fps,fall_start,fall_end", line))


def test_read_manifest_refuses_a_pipe_and_a_column_twice(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "m.csv")
    with pytest.raises(FalldetError, match="it is no file"):
        read_manifest(tmp_path / "m.csv")
    with pytest.raises(FalldetError, match="the column path occurs twice"):
        read_manifest(write(tmp_path / "n.csv", "path,Path,label", "a,b,fall"))


def test_check_times_names_the_line_of_a_fall_beyond_the_clip() -> None:
    clip = ClipRecord(Path("a.mp4"), 1, "a", None, (FallInterval(273.0, 370.0, True),), place="m.csv:2")
    with pytest.raises(FalldetError, match=r"m\.csv:2: the fall from 273\.0 s to 370\.0 s lies beyond the end of a.mp4"):
        check_times(clip, 5.3)
    check_times(replace(clip, fall_intervals=(FallInterval(4.0, 6.0, True),)), 5.3)
