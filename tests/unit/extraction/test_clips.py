"""Extraction: drawn videos in, a pickle that training reads out, though some are broken and the run is stopped."""

from __future__ import annotations

import csv
import signal
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from falldet.data.annotations import load_annotations
from falldet.data.manifest import ClipRecord, FallInterval, clips_from_folder
from falldet.errors import FalldetError
from falldet.extraction.clips import annotate, complete_splits, extract, frame_dirs
from falldet.extraction.pose_cache import PoseCache, PoseSequence
from falldet.geometry import keypoint_boxes
from falldet.io.video import VideoWriter
from falldet.stages.tracking import TrackerSettings
from falldet.synthetic import SCENES, Scene
from falldet.types import People

FPS, DURATION_S = 10.0, 2.0
NAMES = ("fall_forward", "walk", "fall_in_company")


def scene(name: str) -> Scene:
    """Two seconds of a scene, small in frames."""
    return replace(SCENES[name](), fps=FPS, duration_s=DURATION_S)


class TruePoses:
    """A pose source that knows the scenes: the number of the scene and the frame stand in the picture's corner."""

    def __init__(self) -> None:
        self.looked = 0
        self.stop_after: int | None = None
        self.ctrl_c_at: int | None = None
        self.truth = [[truth.with_track_ids(None) for truth in true_people(name)] for name in NAMES]

    def __call__(self, image: np.ndarray) -> People:
        self.looked += 1
        if self.stop_after is not None and self.looked > self.stop_after:
            raise KeyboardInterrupt
        if self.looked == self.ctrl_c_at:
            signal.raise_signal(signal.SIGINT)
        name, frame = (round(float(image[:40, 40 * i : 40 * i + 40].mean()) / 10) for i in range(2))
        return self.truth[name][frame]

    def reset(self) -> None:
        """Nothing is kept from picture to picture."""


def true_people(name: str) -> list[People]:
    frames = []
    for pose, score in zip(*scene(name).keypoints(), strict=True):
        rows = np.flatnonzero(score.any(axis=1))
        boxes = keypoint_boxes(pose[rows], score[rows])
        frames.append(People(pose[rows], score[rows], boxes, np.ones(len(rows)), rows))
    return frames


def record(path: Path, name: str, frames: int | None = None) -> Path:
    """Draw a scene into a video file, its number and the frame's in the top left corner."""
    with VideoWriter(path, FPS, crf=16) as writer:
        for frame in scene(name).frames():
            frame.image[:40, :40], frame.image[:40, 40:80] = 10 * NAMES.index(name), 10 * frame.index
            writer.write(frame.image, frame.time_s)
            if frames and frame.index + 1 == frames:
                break
    return path


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    folder = tmp_path_factory.mktemp("drawn")
    return {name: record(folder / f"{name}.mp4", name).read_bytes() for name in NAMES[:2]}


@pytest.fixture
def videos(tmp_path: Path, drawn: dict[str, bytes]) -> Path:
    """Four people, each with a fall and a walk of their own."""
    for subject in range(4):
        for folder, name in (("fall", "fall_forward"), ("not_fall", "walk")):
            path = tmp_path / "videos" / folder / f"s{subject}" / f"{name}.mp4"
            path.parent.mkdir(parents=True)
            path.write_bytes(drawn[name] + bytes(subject))  # the same pictures, but another file
    return tmp_path / "videos"


@pytest.fixture
def poses() -> TruePoses:
    return TruePoses()


@pytest.fixture
def cache(tmp_path: Path, poses: TruePoses) -> PoseCache:
    return PoseCache(tmp_path / "poses", lambda: poses, "true poses")


def left_in(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()} if folder.is_dir() else set()


def report(path: Path) -> dict[str, dict[str, str]]:
    with path.open(encoding="utf-8") as stream:
        return {Path(row["path"]).name: row for row in csv.DictReader(stream)}


def test_videos_become_annotations(tmp_path: Path, videos: Path, cache: PoseCache, poses: TruePoses) -> None:
    result = extract(clips_from_folder(videos), tmp_path / "data" / "falls.pkl", cache, TrackerSettings())
    contents = load_annotations(result.path)
    assert len(contents["annotations"]) == 8
    assert sum(result.counts.values()) == 8
    frames = round(FPS * DURATION_S)
    for annotation in contents["annotations"]:
        assert annotation["total_frames"] == frames
        assert annotation["img_shape"] == annotation["original_shape"] == (480, 640)
        assert annotation["keypoint"].shape == (1, frames, 17, 2)
        assert annotation["keypoint_score"].shape == (1, frames, 17)
        np.testing.assert_allclose(annotation["time_s"], np.arange(frames) / FPS, atol=1e-3)
        name = Path(annotation["frame_dir"]).name
        assert annotation["label"] == (name == "fall_forward")
        true = true_people(name)
        for step in range(5, frames):
            np.testing.assert_array_equal(annotation["keypoint"][0, step], true[step].keypoints[0])
    assert {a["frame_dir"] for a in contents["annotations"]} == {
        f"{folder}/s{i}/{name}" for folder, name in (("fall", "fall_forward"), ("not_fall", "walk")) for i in range(4)
    }
    assert left_in(tmp_path / "data") == {"falls.pkl", "falls_report.csv"}
    assert poses.looked == 8 * frames


def test_a_subject_is_in_one_split_only_and_the_split_is_drawn_from_the_seed(
    tmp_path: Path, videos: Path, cache: PoseCache
) -> None:
    clips = clips_from_folder(videos)
    splits = []
    for number, seed in enumerate((0, 0, 1, 2, 3, 4)):
        extract(clips, tmp_path / f"{number}.pkl", cache, TrackerSettings(), seed=seed)
        contents = load_annotations(tmp_path / f"{number}.pkl")
        home = {name: split for split, names in contents["split"].items() for name in names}
        assert len(home) == 8
        for subject in range(4):
            assert home[f"fall/s{subject}/fall_forward"] == home[f"not_fall/s{subject}/walk"]
        splits.append(tuple(sorted(home.items())))
    assert (tmp_path / "0.pkl").read_bytes() == (tmp_path / "1.pkl").read_bytes()
    assert splits[0] == splits[1]
    assert len(set(splits)) > 1


def test_a_stopped_run_goes_on_where_it_was(tmp_path: Path, videos: Path, cache: PoseCache, poses: TruePoses) -> None:
    clips, frames = clips_from_folder(videos), round(FPS * DURATION_S)
    poses.stop_after = 3 * frames + 7
    with pytest.raises(KeyboardInterrupt):
        extract(clips, tmp_path / "falls.pkl", cache, TrackerSettings())
    assert not (tmp_path / "falls.pkl").exists()
    done = left_in(tmp_path / "poses")
    assert len(done) == 3
    assert all(name.endswith(".npz") for name in done)
    poses.looked, poses.stop_after = 0, None
    extract(clips, tmp_path / "falls.pkl", cache, TrackerSettings())
    assert poses.looked == 5 * frames
    poses.looked = 0
    extract(clips, tmp_path / "again.pkl", cache, TrackerSettings())
    assert poses.looked == 0
    assert (tmp_path / "again.pkl").read_bytes() == (tmp_path / "falls.pkl").read_bytes()


def test_ctrl_c_drops_the_video_in_hand_only(tmp_path: Path, videos: Path, cache: PoseCache, poses: TruePoses) -> None:
    frames = round(FPS * DURATION_S)
    poses.ctrl_c_at = 2 * frames + 7
    with pytest.raises(KeyboardInterrupt):
        extract(clips_from_folder(videos), tmp_path / "falls.pkl", cache, TrackerSettings())
    assert poses.looked == poses.ctrl_c_at
    assert len(left_in(tmp_path / "poses")) == 2
    assert left_in(tmp_path) == {"videos", "poses"}


def test_a_damaged_file_of_the_cache_is_made_anew(
    tmp_path: Path, videos: Path, cache: PoseCache, poses: TruePoses, caplog: pytest.LogCaptureFixture
) -> None:
    clips = clips_from_folder(videos)[:4]
    extract(clips, tmp_path / "falls.pkl", cache, TrackerSettings())
    before = (tmp_path / "falls.pkl").read_bytes()
    for number, path in enumerate(sorted((tmp_path / "poses").iterdir())):
        whole = path.read_bytes()
        path.write_bytes([b"", b"no archive", whole[: len(whole) // 2], whole[:-30]][number])
    poses.looked = 0
    extract(clips, tmp_path / "falls.pkl", cache, TrackerSettings())
    assert poses.looked == 4 * round(FPS * DURATION_S)
    assert (tmp_path / "falls.pkl").read_bytes() == before
    assert caplog.text.count("looking at") == 4


def test_other_settings_of_the_pose_source_don_t_use_the_old_poses(
    tmp_path: Path, videos: Path, cache: PoseCache, poses: TruePoses
) -> None:
    video = next(videos.rglob("*.mp4"))
    cache.poses(video)
    looked = poses.looked
    PoseCache(tmp_path / "poses", lambda: poses, "other poses").poses(video)
    assert poses.looked == 2 * looked


def test_broken_videos_are_listed_with_a_reason_and_are_not_fatal(
    tmp_path: Path, videos: Path, cache: PoseCache
) -> None:
    (videos / "fall" / "empty.mp4").touch()
    (videos / "fall" / "text.mp4").write_text("no video", encoding="utf-8")
    record(videos / "fall" / "brief.mp4", "walk", frames=1)
    missing = ClipRecord(videos / "fall" / "missing.mp4", 1, "nobody")
    result = extract([*clips_from_folder(videos), missing], tmp_path / "falls.pkl", cache, TrackerSettings())
    reasons = {path.name: reason for path, reason in result.left_out}
    assert set(reasons) == {"empty.mp4", "text.mp4", "brief.mp4", "missing.mp4"}
    rows = report(result.report)
    assert "0 bytes" in reasons["empty.mp4"]
    assert "can't read" in reasons["text.mp4"]
    assert "nobody was found" in reasons["brief.mp4"]
    assert "missing.mp4" in reasons["missing.mp4"]
    for name, reason in reasons.items():
        assert (rows[name]["used"], rows[name]["reason"]) == ("0", reason)
    assert rows["fall_forward.mp4"]["used"] == "1"
    assert int(rows["fall_forward.mp4"]["frames_with_main_person"]) >= FPS * DURATION_S - 4
    assert len(load_annotations(result.path)["annotations"]) == 8


def test_when_not_one_video_can_be_used_the_report_says_why(tmp_path: Path, cache: PoseCache) -> None:
    folder = tmp_path / "videos" / "fall"
    folder.mkdir(parents=True)
    for name in "ab":
        (folder / f"{name}.mp4").touch()
    with pytest.raises(FalldetError, match="none of the 2 videos could be used"):
        extract(clips_from_folder(folder.parent), tmp_path / "falls.pkl", cache, TrackerSettings())
    assert not (tmp_path / "falls.pkl").exists()
    assert set(report(tmp_path / "falls_report.csv")) == {"a.mp4", "b.mp4"}


@pytest.mark.parametrize(("people", "seed"), [(0, 0), (-1, 0), (1, -1)])
def test_numbers_out_of_range_are_told_before_the_work(
    tmp_path: Path, videos: Path, cache: PoseCache, poses: TruePoses, people: int, seed: int
) -> None:
    with pytest.raises(FalldetError, match="must be at least"):
        extract(clips_from_folder(videos), tmp_path / "falls.pkl", cache, TrackerSettings(), people, seed)
    assert poses.looked == 0


def test_places_that_can_t_be_written_are_told_in_a_sentence(tmp_path: Path, videos: Path, cache: PoseCache) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(FalldetError, match="can't make the folder"):
        PoseCache(tmp_path / "file" / "poses", TruePoses, "")
    with pytest.raises(FalldetError, match="can't write"):
        extract(clips_from_folder(videos)[:1], tmp_path / "file" / "falls.pkl", cache, TrackerSettings())


def sequence(name: str, drop: Callable[[int, int], bool] = lambda person, frame: False) -> PoseSequence:
    frames = [
        people[np.array([i for i, person in enumerate(people.track_ids) if not drop(int(person), step)], dtype=int)]
        for step, people in enumerate(true_people(name))
    ]
    arrays = {
        field: np.concatenate([getattr(people, field) for people in frames])
        for field in ("keypoints", "scores", "boxes", "box_scores")
    }
    counts = np.array([len(people) for people in frames])
    return PoseSequence(np.arange(len(frames)) / FPS, counts, **arrays, image_hw=(480, 640))


def test_the_main_person_is_who_is_seen_longest_unless_somebody_is_seen_in_the_fall() -> None:
    clip = ClipRecord(Path("clip.mp4"), 1, "s")
    poses = sequence(
        "fall_in_company", lambda person, frame: (person == 0 and frame < 6) or (person == 2 and frame < 8)
    )
    true = true_people("fall_in_company")

    def main_person(clip: ClipRecord) -> int:
        pose = annotate(clip, "clip", poses, TrackerSettings())["keypoint"][0, 15]
        return int(np.argmin(np.abs(true[15].keypoints - pose).sum(axis=(1, 2))))

    assert main_person(clip) == 1
    poses = sequence("fall_in_company", lambda person, frame: person == 1 and frame < 8)
    assert main_person(clip) in (0, 2)
    falls = (FallInterval(1.2, 2.0, True),)
    poses = sequence(
        "fall_in_company", lambda person, frame: (person == 1 and frame < 5) or (person in (0, 2) and frame > 15)
    )
    assert main_person(clip) in (0, 2)
    assert main_person(replace(clip, fall_intervals=falls)) == 1


def test_several_people_are_kept_the_main_person_first() -> None:
    clip = ClipRecord(Path("clip.mp4"), 1, "s")
    poses = sequence("fall_in_company", lambda person, frame: person == 0 and frame < 10)
    two = annotate(clip, "clip", poses, TrackerSettings(), people=2)
    all_of_them = annotate(clip, "clip", poses, TrackerSettings(), people=9)
    assert two["keypoint"].shape[0] == 2
    assert all_of_them["keypoint"].shape[0] == 3
    np.testing.assert_array_equal(all_of_them["keypoint"][:2], two["keypoint"])
    assert (all_of_them["keypoint_score"][2, :10] == 0).all()
    assert (all_of_them["keypoint"][all_of_them["keypoint_score"] == 0] == 0).all()


@pytest.mark.parametrize(
    ("interval", "expected"),
    [
        (FallInterval(1.0, 2.5, True), [[1.0, 2.5]]),
        (FallInterval(1.0, 9.0, False), [[1.0, 2.2]]),
        (FallInterval(1.0, 1.5, False), [[1.0, 1.5]]),
    ],
    ids=["end known", "whole event", "short event"],
)
def test_the_going_down_is_what_is_labelled_or_assumed(interval: FallInterval, expected: list[list[float]]) -> None:
    clip = ClipRecord(Path("clip.mp4"), 1, "s", fall_intervals=(interval,))
    found = annotate(clip, "clip", sequence("fall_forward"), TrackerSettings())["fall_intervals"]
    np.testing.assert_allclose(found, expected)


def test_a_fall_at_an_unknown_time_has_no_intervals_and_no_fall_has_none() -> None:
    poses = sequence("fall_forward")
    assert "fall_intervals" not in annotate(ClipRecord(Path("a"), 1, "s"), "a", poses, TrackerSettings())
    assert annotate(ClipRecord(Path("a"), 0, "s"), "a", poses, TrackerSettings())["fall_intervals"] == []


def test_a_sequence_comes_back_from_its_file_as_it_was(tmp_path: Path) -> None:
    poses = sequence("fall_in_company", lambda person, frame: frame == 3)
    poses.save(tmp_path / "deep" / "a.npz")
    again = PoseSequence.load(tmp_path / "deep" / "a.npz")
    assert again.image_hw == (480, 640)
    for (time_a, a), (time_b, b) in zip(poses.frames(), again.frames(), strict=True):
        assert time_a == time_b
        np.testing.assert_array_equal(a.keypoints, b.keypoints)
        np.testing.assert_array_equal(a.box_scores, b.box_scores)
    assert left_in(tmp_path / "deep") == {"a.npz"}
    assert [len(people) for _, people in again.frames()][:5] == [3, 3, 3, 0, 3]


@pytest.mark.parametrize(
    ("paths", "names"),
    [
        (["/v/fall/a.mp4", "/v/not_fall/a.mp4"], ["fall/a", "not_fall/a"]),
        (["/v/fall/a.mp4"], ["a"]),
        (["/v/a.mp4", "/v/a.avi", "/v/b.avi"], ["a.mp4", "a.avi", "b"]),
        (["/v/fall/s1/a.mp4", "/v/fall/s1.b/a.mp4", "/w/a.mp4"], ["v/fall/s1/a", "v/fall/s1.b/a", "w/a"]),
    ],
)
def test_clips_are_named_by_what_tells_them_apart(paths: list[str], names: list[str]) -> None:
    assert frame_dirs([Path(path) for path in paths]) == names
