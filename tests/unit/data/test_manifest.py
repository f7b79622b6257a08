"""Manifests, labels from folders, and the split by group."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from falldet.errors import FalldetError
from falldet.data.manifest import FallInterval, clips_from_folder, read_manifest, split_by_group


def write(path: Path, *lines: str) -> Path:
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def test_a_manifest_with_the_two_columns_it_needs(tmp_path: Path) -> None:
    fall, other, *numbered = read_manifest(
        write(tmp_path / "m.csv", "path,label", "x/a.mp4,fall", "b.mp4,ADL", "c.mp4,1", "d.mp4,0")
    )
    assert (fall.path, fall.label, fall.subject, fall.split) == (tmp_path / "x/a.mp4", 1, "a", None)
    assert (other.label, other.fall_intervals) == (0, ())
    assert [record.label for record in numbered] == [1, 0]


def test_frame_numbers_become_seconds(tmp_path: Path) -> None:
    header = "path,label,subject,split,fps,fall_start,fall_end,event_end"
    (record,) = read_manifest(write(tmp_path / "m.csv", header, "a.mp4,fall,s1,test,10,5;40;90,14;;99,29;59;"))
    assert (record.subject, record.split) == ("s1", "test")
    assert record.fall_intervals == (
        FallInterval(0.5, 1.5, True),
        FallInterval(4.0, 6.0, False),
        FallInterval(9.0, 10.0, True),
    )


def test_a_path_is_looked_for_beside_the_manifest_and_one_folder_up(tmp_path: Path) -> None:
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
def test_a_wrong_line_is_named(tmp_path: Path, lines: list[str], message: str) -> None:
    with pytest.raises(FalldetError, match=message):
        read_manifest(write(tmp_path / "m.csv", *lines))


def test_an_unreadable_manifest_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "m.csv").write_bytes(b"path,label\n\xff\xfe\x00,fall\n")
    for path, message in ((tmp_path / "m.csv", "UTF-8"), (tmp_path / "x.csv", "no manifest"), (tmp_path, "read")):
        with pytest.raises(FalldetError, match=message):
            read_manifest(path)


def test_the_shared_manifests_hold_what_their_page_says(shared_data: Path) -> None:
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


def test_labels_and_subjects_come_from_folders(tmp_path: Path) -> None:
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


def test_a_folder_of_one_class_may_be_given_itself(tmp_path: Path) -> None:
    touch(tmp_path, "fall/a.mp4")
    assert [record.label for record in clips_from_folder(tmp_path / "fall")] == [1]


def test_videos_without_a_label_are_counted_in_a_warning(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    touch(tmp_path, "fall/a.mp4", "b.mp4", "x/c.mp4")
    clips_from_folder(tmp_path)
    assert "left out 2 videos" in caplog.text


def test_a_folder_without_classes_shows_the_layout(tmp_path: Path) -> None:
    with pytest.raises(FalldetError, match=r"no video in a folder named fall or not_fall.*videos/fall/\*\.mp4"):
        clips_from_folder(tmp_path)
    touch(tmp_path, "a.mp4")
    with pytest.raises(FalldetError, match="1 videos, none of them in a folder"):
        clips_from_folder(tmp_path)
    with pytest.raises(FalldetError, match="no folder"):
        clips_from_folder(tmp_path / "gone")


clips = st.lists(st.tuples(st.integers(0, 1), st.integers(0, 30)), min_size=1, max_size=80)


@given(clips, st.integers(0, 2**32 - 1))
@settings(max_examples=100, deadline=None)
def test_no_group_straddles_and_the_seed_decides(clips: list[tuple[int, int]], seed: int) -> None:
    labels, groups = [label for label, _ in clips], [f"s{group}" for _, group in clips]
    splits = split_by_group(labels, groups, rng=np.random.default_rng(seed))
    assert splits == split_by_group(labels, groups, rng=np.random.default_rng(seed))
    homes: dict[str, set[str]] = {}
    for group, split in zip(groups, splits, strict=True):
        homes.setdefault(group, set()).add(split)
    assert all(len(home) == 1 for home in homes.values())
    if all(
        min(Counter(g for g, lab in zip(groups, labels, strict=True) if lab == c).values(), default=0) for c in (0, 1)
    ):
        assert "train" in splits


@given(
    st.lists(st.tuples(st.integers(1, 4), st.integers(0, 4)), min_size=60, max_size=120),
    st.integers(0, 2**32 - 1),
)
@settings(max_examples=60, deadline=None)
def test_many_groups_come_near_the_fractions_in_each_class(sizes: list[tuple[int, int]], seed: int) -> None:
    labels = [label for counts in sizes for label in (0, 1) for _ in range(counts[label])]
    groups = [f"s{index}" for index, counts in enumerate(sizes) for _ in range(sum(counts))]
    splits = split_by_group(labels, groups, rng=np.random.default_rng(seed))
    for label in (0, 1):
        of_class = [split for split, other in zip(splits, labels, strict=True) if other == label]
        if len(of_class) < 40:
            continue
        counts = Counter(of_class)
        for name, fraction in (("train", 0.70), ("val", 0.15), ("test", 0.15)):
            assert counts[name] / len(of_class) == pytest.approx(fraction, abs=0.06)


@pytest.mark.parametrize(
    ("group_count", "filled"),
    [(1, {"train"}), (2, {"train", "val"}), (3, {"train", "val", "test"}), (8, {"train", "val", "test"})],
)
def test_few_groups_are_spread_as_well_as_they_can_be(
    group_count: int, filled: set[str], rng: np.random.Generator, caplog: pytest.LogCaptureFixture
) -> None:
    splits = split_by_group([0, 1] * group_count, np.repeat(np.arange(group_count).astype(str), 2), rng=rng)
    assert set(splits) == filled
    assert ("stay" in caplog.text) == (group_count < 3)


def test_one_large_group_goes_to_train_and_small_ones_fill_the_rest(rng: np.random.Generator) -> None:
    groups = ["large"] * 50 + ["next"] * 40 + ["small"] * 5 + ["tiny"] * 5
    splits = dict(zip(groups, split_by_group([0, 1] * 50, groups, rng=rng), strict=True))
    assert splits["large"] == splits["next"] == "train"
    assert {splits["small"], splits["tiny"]} == {"val", "test"}


def test_another_seed_gives_another_split() -> None:
    labels, groups = [0, 1] * 50, [str(index) for index in range(100)]
    assert len({tuple(split_by_group(labels, groups, rng=np.random.default_rng(seed))) for seed in range(5)}) == 5


def test_a_share_of_zero_stays_empty(rng: np.random.Generator) -> None:
    groups = [str(index) for index in range(20)]
    assert set(split_by_group([0, 1] * 10, groups, (0.8, 0.2, 0.0), rng=rng)) == {"train", "val"}


@pytest.mark.parametrize(
    ("labels", "fractions"), [([0], (0.7, 0.15, 0.15)), ([0, 1], (0.7, 0.7, 0.7)), ([0, 1], (1.0,))]
)
def test_what_is_no_split_is_refused(labels: list[int], fractions: tuple[float, ...], rng: np.random.Generator) -> None:
    with pytest.raises(ValueError, match=r"must (have the same length|be three shares)"):
        split_by_group(labels, ["a", "b"], fractions, rng=rng)


def test_no_clip_gives_no_split(rng: np.random.Generator) -> None:
    assert split_by_group([], [], rng=rng) == []
