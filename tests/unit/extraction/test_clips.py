"""Extraction: synthetic videos in, an annotation file out, though some are broken and the run is stopped."""

from __future__ import annotations

import csv
import signal
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from falldet.data.annotations import load_annotations
from falldet.data.folder import clips_from_folder
from falldet.data.manifest import ClipRecord, FallInterval
from falldet.errors import FalldetError
from falldet.extraction.clips import ExtractionJob, annotate, extract, frame_dirs
from falldet.extraction.pose_cache import PoseSequence
from falldet.geometry import keypoint_boxes
from falldet.io.video_writer import VideoWriter
from falldet.pipeline.config import Config
from falldet.pose.source import completed
from falldet.stages.tracking import TrackerSettings
from falldet.synthetic import SCENES, Scene
from falldet.types import People

FPS, DURATION_S = 10.0, 2.0
NAMES = ("fall_forward", "walk", "fall_in_company")


def scene(name: str) -> Scene:
    """Two seconds of a scene, small in frames."""
    return replace(SCENES[name](), fps=FPS, duration_s=DURATION_S)


class TruePoses:
    """A pose source that knows the scenes: scene and frame are coded in the upper left corner of the image."""

    max_in_flight = 1

    def __init__(self) -> None:
        self.inferences = 0
        self.stop_after: int | None = None
        self.ctrl_c_at: int | None = None
        self.truth = [[truth.with_track_ids(None) for truth in true_people(name)] for name in NAMES]

    def submit(self, image: np.ndarray) -> Future[People]:
        self.inferences += 1
        if self.stop_after is not None and self.inferences > self.stop_after:
            raise KeyboardInterrupt
        if self.inferences == self.ctrl_c_at:
            signal.raise_signal(signal.SIGINT)
        name, frame = (round(float(image[:40, 40 * i : 40 * i + 40].mean()) / 10) for i in range(2))
        return completed(self.truth[name][frame])

    def reset(self) -> None:
        """No state is carried from image to image."""


def true_people(name: str) -> list[People]:
    frames = []
    for pose, score in zip(*scene(name).keypoints(), strict=True):
        rows = np.flatnonzero(score.any(axis=1))
        boxes = keypoint_boxes(pose[rows], score[rows])
        frames.append(People(pose[rows], score[rows], boxes, np.ones(len(rows)), rows))
    return frames


def render(path: Path, name: str, frames: int | None = None) -> Path:
    """Write a scene as a video, its index and the frame's coded in the upper left corner."""
    with VideoWriter(path, FPS, crf=16) as writer:
        for frame in scene(name).frames():
            frame.image[:40, :40], frame.image[:40, 40:80] = 10 * NAMES.index(name), 10 * frame.index
            writer.write(frame.image, frame.time_s)
            if frames and frame.index + 1 == frames:
                break
    return path


@pytest.fixture(scope="module")
def rendered(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    folder = tmp_path_factory.mktemp("rendered")
    return {name: render(folder / f"{name}.mp4", name).read_bytes() for name in NAMES[:2]}


@pytest.fixture
def videos(tmp_path: Path, rendered: dict[str, bytes]) -> Path:
    """Four people, each with a fall and a walk of their own."""
    for subject in range(4):
        for folder, name in (("fall", "fall_forward"), ("not_fall", "walk")):
            path = tmp_path / "videos" / folder / f"s{subject}" / f"{name}.mp4"
            path.parent.mkdir(parents=True)
            path.write_bytes(rendered[name] + bytes(subject))  # the same images, but another file
    return tmp_path / "videos"


@pytest.fixture
def poses(monkeypatch: pytest.MonkeyPatch) -> TruePoses:
    """The pose source that extraction in this process uses."""
    source = TruePoses()
    monkeypatch.setattr("falldet.extraction.pose_cache.build_pose_source", lambda *_: source)
    return source


@pytest.fixture
def job(tmp_path: Path, poses: TruePoses) -> ExtractionJob:
    return ExtractionJob(Config(), tmp_path / "poses")


def left_in(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()} if folder.is_dir() else set()


def report(path: Path) -> dict[str, dict[str, str]]:
    with path.open(encoding="utf-8") as stream:
        return {Path(row["path"]).name: row for row in csv.DictReader(stream)}


def test_extract_makes_annotations_of_videos(
    tmp_path: Path, videos: Path, job: ExtractionJob, poses: TruePoses
) -> None:
    result = extract(clips_from_folder(videos).clips, tmp_path / "data" / "falls.pkl", job)
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
    assert poses.inferences == 8 * frames


def test_extract_keeps_a_subject_in_one_split_drawn_from_the_seed(
    tmp_path: Path, videos: Path, job: ExtractionJob
) -> None:
    clips = clips_from_folder(videos).clips
    splits = []
    for number, seed in enumerate((0, 0, 1, 2, 3, 4)):
        extract(clips, tmp_path / f"{number}.pkl", job, seed=seed)
        contents = load_annotations(tmp_path / f"{number}.pkl")
        split_of = {name: split for split, names in contents["split"].items() for name in names}
        assert len(split_of) == 8
        for subject in range(4):
            assert split_of[f"fall/s{subject}/fall_forward"] == split_of[f"not_fall/s{subject}/walk"]
        splits.append(tuple(sorted(split_of.items())))
    assert (tmp_path / "0.pkl").read_bytes() == (tmp_path / "1.pkl").read_bytes()
    assert splits[0] == splits[1]
    assert len(set(splits)) > 1


def test_extract_resumes_a_stopped_run(tmp_path: Path, videos: Path, job: ExtractionJob, poses: TruePoses) -> None:
    clips, frames = clips_from_folder(videos).clips, round(FPS * DURATION_S)
    poses.stop_after = 3 * frames + 7
    with pytest.raises(KeyboardInterrupt):
        extract(clips, tmp_path / "falls.pkl", job)
    assert not (tmp_path / "falls.pkl").exists()
    done = left_in(tmp_path / "poses")
    assert len(done) == 3
    assert all(name.endswith(".npz") for name in done)
    poses.inferences, poses.stop_after = 0, None
    extract(clips, tmp_path / "falls.pkl", job)
    assert poses.inferences == 5 * frames
    poses.inferences = 0
    extract(clips, tmp_path / "again.pkl", job)
    assert poses.inferences == 0
    assert (tmp_path / "again.pkl").read_bytes() == (tmp_path / "falls.pkl").read_bytes()


def test_extract_drops_only_the_video_in_progress_at_ctrl_c(
    tmp_path: Path, videos: Path, job: ExtractionJob, poses: TruePoses
) -> None:
    frames = round(FPS * DURATION_S)
    poses.ctrl_c_at = 2 * frames + 7
    with pytest.raises(KeyboardInterrupt):
        extract(clips_from_folder(videos).clips, tmp_path / "falls.pkl", job)
    assert poses.inferences == poses.ctrl_c_at
    assert len(left_in(tmp_path / "poses")) == 2
    assert left_in(tmp_path) == {"videos", "poses"}


def test_extract_replaces_damaged_files_of_the_cache(
    tmp_path: Path, videos: Path, job: ExtractionJob, poses: TruePoses, caplog: pytest.LogCaptureFixture
) -> None:
    clips = clips_from_folder(videos).clips[:4]
    extract(clips, tmp_path / "falls.pkl", job)
    before = (tmp_path / "falls.pkl").read_bytes()
    for number, path in enumerate(sorted((tmp_path / "poses").iterdir())):
        whole = path.read_bytes()
        path.write_bytes([b"", b"no archive", whole[: len(whole) // 2], whole[:-30]][number])
    poses.inferences = 0
    extract(clips, tmp_path / "falls.pkl", job)
    assert poses.inferences == 4 * round(FPS * DURATION_S)
    assert (tmp_path / "falls.pkl").read_bytes() == before
    assert caplog.text.count("estimating the poses of") == 4


def test_extract_lists_broken_videos_with_a_reason(tmp_path: Path, videos: Path, job: ExtractionJob) -> None:
    (videos / "fall" / "empty.mp4").touch()
    (videos / "fall" / "text.mp4").write_text("no video", encoding="utf-8")
    render(videos / "fall" / "brief.mp4", "walk", frames=1)
    coded = render(videos / "fall" / "coded.mp4", "walk", frames=5)
    coded.write_bytes(coded.read_bytes().replace(b"avc1", b"zz01"))
    missing = ClipRecord(videos / "fall" / "missing.mp4", 1, "s9")
    result = extract([*clips_from_folder(videos).clips, missing], tmp_path / "falls.pkl", job)
    reasons = {path.name: reason for path, reason in result.left_out}
    assert set(reasons) == {"empty.mp4", "text.mp4", "brief.mp4", "missing.mp4", "coded.mp4"}
    rows = report(result.report)
    assert "0 bytes" in reasons["empty.mp4"]
    assert "can't read" in reasons["text.mp4"]
    assert "unknown codec" in reasons["coded.mp4"]
    assert "no person was found" in reasons["brief.mp4"]
    assert "missing.mp4" in reasons["missing.mp4"]
    for name, reason in reasons.items():
        assert (rows[name]["used"], rows[name]["reason"]) == ("0", reason)
    assert rows["fall_forward.mp4"]["used"] == "1"
    assert int(rows["fall_forward.mp4"]["frames_with_main_person"]) >= FPS * DURATION_S - 4
    assert len(load_annotations(result.path)["annotations"]) == 8


def test_extract_tells_why_no_video_can_be_used(tmp_path: Path, job: ExtractionJob) -> None:
    folder = tmp_path / "videos" / "fall"
    folder.mkdir(parents=True)
    for name in "ab":
        (folder / f"{name}.mp4").touch()
    with pytest.raises(FalldetError, match="none of the 2 videos could be used"):
        extract(clips_from_folder(folder.parent).clips, tmp_path / "falls.pkl", job)
    assert not (tmp_path / "falls.pkl").exists()
    assert set(report(tmp_path / "falls_report.csv")) == {"a.mp4", "b.mp4"}


@pytest.mark.parametrize(("people", "seed"), [(0, 0), (-1, 0), (1, -1)])
def test_extract_refuses_values_out_of_range_before_the_work(
    tmp_path: Path, videos: Path, poses: TruePoses, people: int, seed: int
) -> None:
    with pytest.raises(FalldetError, match="must be at least"):
        extract(
            clips_from_folder(videos).clips,
            tmp_path / "a.pkl",
            ExtractionJob(Config(), tmp_path / "poses", people),
            seed,
        )
    assert poses.inferences == 0


def test_extract_names_a_place_that_cannot_be_written(tmp_path: Path, videos: Path, job: ExtractionJob) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(FalldetError, match="can't write"):
        extract(clips_from_folder(videos).clips[:1], tmp_path / "file" / "falls.pkl", job)
    with pytest.raises(FalldetError, match="can't make the folder"):
        extract(
            clips_from_folder(videos).clips[:1],
            tmp_path / "falls.pkl",
            ExtractionJob(Config(), tmp_path / "file" / "poses"),
        )


@pytest.mark.slow
@pytest.mark.usefixtures("pose_model")
def test_extract_gives_the_same_bytes_for_one_process_and_several(tmp_path: Path) -> None:
    """Real poses of rendered clips, by MoveNet in its default precision."""
    for folder, name in (("fall", "fall_forward"), ("fall", "fall_in_company"), ("not_fall", "walk")):
        (tmp_path / "videos" / folder).mkdir(parents=True, exist_ok=True)
        render(tmp_path / "videos" / folder / f"{name}.mp4", name)
    (tmp_path / "videos" / "fall" / "empty.mp4").touch()
    for jobs in (1, 3):
        job = ExtractionJob(Config(), tmp_path / f"poses{jobs}", people=2)
        extract(clips_from_folder(tmp_path / "videos").clips, tmp_path / f"{jobs}.pkl", job, jobs=jobs)
    assert (tmp_path / "1.pkl").read_bytes() == (tmp_path / "3.pkl").read_bytes()
    assert (tmp_path / "1_report.csv").read_bytes() == (tmp_path / "3_report.csv").read_bytes()
    assert len(load_annotations(tmp_path / "1.pkl")["annotations"]) == 3
    one, several = (sorted((tmp_path / f"poses{jobs}").iterdir()) for jobs in (1, 3))
    assert [path.name for path in one] == [path.name for path in several]
    for first, second in zip(one, several, strict=True):
        np.testing.assert_array_equal(PoseSequence.load(first).keypoints, PoseSequence.load(second).keypoints)


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


def test_annotate_takes_the_person_seen_longest_unless_another_is_seen_in_the_fall() -> None:
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


def test_annotate_keeps_several_people_the_main_person_first() -> None:
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
        (FallInterval(1.0, 2.8, False), [[1.0, 2.2]]),
        (FallInterval(1.0, 1.5, False), [[1.0, 1.5]]),
    ],
    ids=["end known", "whole event", "short event"],
)
def test_annotate_takes_the_descent_as_labeled_or_assumed(interval: FallInterval, expected: list[list[float]]) -> None:
    clip = ClipRecord(Path("clip.mp4"), 1, "s", fall_intervals=(interval,))
    found = annotate(clip, "clip", sequence("fall_forward"), TrackerSettings())["fall_intervals"]
    np.testing.assert_allclose(found, expected)


def test_annotate_leaves_out_the_intervals_of_a_fall_of_unknown_time() -> None:
    poses = sequence("fall_forward")
    assert "fall_intervals" not in annotate(ClipRecord(Path("a"), 1, "s"), "a", poses, TrackerSettings())
    assert annotate(ClipRecord(Path("a"), 0, "s"), "a", poses, TrackerSettings())["fall_intervals"] == []


@pytest.mark.parametrize(
    ("paths", "names"),
    [
        (["/v/fall/a.mp4", "/v/not_fall/a.mp4"], ["fall/a", "not_fall/a"]),
        (["/v/fall/a.mp4"], ["a"]),
        (["/v/a.mp4", "/v/a.avi", "/v/b.avi"], ["a.mp4", "a.avi", "b"]),
        (["/v/fall/s1/a.mp4", "/v/fall/s1.b/a.mp4", "/w/a.mp4"], ["v/fall/s1/a", "v/fall/s1.b/a", "w/a"]),
    ],
)
def test_frame_dirs_tell_clips_apart(paths: list[str], names: list[str]) -> None:
    assert frame_dirs([Path(path) for path in paths]) == names
