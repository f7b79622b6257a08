"""Poses of whole videos, estimated once and kept on disk, so that extraction resumes and evaluation is fast."""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from falldet.build import build_pose_source
from falldet.errors import FalldetError
from falldet.io.arrays import read_arrays
from falldet.io.files import atomic_write, sha256_of, sweep_parts
from falldet.io.video import Rotation, read_frames
from falldet.models.checkpoints import find_checkpoint
from falldet.models.zoo import CHECKPOINTS
from falldet.pipeline.config import Config
from falldet.pose.exported import find_network, int8_network
from falldet.pose.movenet import MoveNetSettings
from falldet.pose.source import EMBEDDED, PoseSettings, PoseSource
from falldet.pose.topdown import TopDownSettings
from falldet.skeleton import JOINT_COUNT
from falldet.types import People

logger = logging.getLogger(__name__)

FORMAT = 1
"""Version of the .npz layout."""

POSES_KEY_VERSION = 1
"""Version of the cache key; to be raised when the same settings give other poses."""


@dataclass(frozen=True, slots=True)
class PoseSequence:
    """The people in every frame of a video, before tracking.

    Attributes:
        time_s: (F,) float64, times of the frames in seconds.
        counts: (F,) int64, people in each frame; the other arrays hold them in order, P in all.
        keypoints: (P, K, 2) float32, pixels.
        scores: (P, K) float32.
        boxes: (P, 4) float32, x0 y0 x1 y1 in pixels.
        box_scores: (P,) float32.
        image_hw: height and width of the frames in pixels.
    """

    time_s: np.ndarray
    counts: np.ndarray
    keypoints: np.ndarray
    scores: np.ndarray
    boxes: np.ndarray
    box_scores: np.ndarray
    image_hw: tuple[int, int]

    def frames(self) -> Iterator[tuple[float, People]]:
        """Yield the time and the people of each frame, in order."""
        stops = np.cumsum(self.counts)
        for time_s, start, stop in zip(self.time_s, stops - self.counts, stops, strict=True):
            rows = slice(int(start), int(stop))
            yield (
                float(time_s),
                People(self.keypoints[rows], self.scores[rows], self.boxes[rows], self.box_scores[rows]),
            )

    def save(self, path: Path) -> None:
        """Write the sequence to `path` in one step, without pickle; raises FalldetError where that fails."""
        values = {name: getattr(self, name) for name in self.__dataclass_fields__}
        with atomic_write(path, binary=True) as stream:
            np.savez(stream, format=FORMAT, **values)

    @classmethod
    def load(cls, path: Path) -> PoseSequence:
        """Read a sequence; raises ValueError where the file is damaged or of another format."""
        try:
            values = read_arrays(path, ["format", *cls.__dataclass_fields__])
            version = int(values.pop("format"))
        except (OSError, ValueError, TypeError) as error:
            raise ValueError(f"{path} is damaged: {error}") from None
        if version != FORMAT:
            raise ValueError(f"{path} has format {version}, not {FORMAT}")
        frames, people = len(values["time_s"]), len(values["scores"])
        shapes = {
            "time_s": (frames,),
            "counts": (frames,),
            "keypoints": (people, JOINT_COUNT, 2),
            "scores": (people, JOINT_COUNT),
            "boxes": (people, 4),
            "box_scores": (people,),
            "image_hw": (2,),
        }
        wrong = [
            name
            for name, shape in shapes.items()
            if values[name].shape != shape or values[name].dtype.kind not in "iuf"
        ]
        if wrong or values["counts"].sum() != people or (values["counts"] < 0).any() or not frames:
            raise ValueError(f"{path} is damaged: {', '.join(wrong) or 'counts'} has a wrong shape")
        height, width = values.pop("image_hw").tolist()
        return cls(**values, image_hw=(height, width))


def estimate_poses(
    path: Path, pose_source: PoseSource, on_frame: Callable[[], None] = lambda: None, rotate: Rotation = 0
) -> PoseSequence:
    """Return the poses of every frame of a video.

    Args:
        path: a video file.
        pose_source: image in, people out.
        on_frame: called after every frame; may raise to stop.
        rotate: degrees clockwise by which images are turned.

    Raises:
        FalldetError: the video can't be read.
    """
    times: list[float] = []
    people: list[People] = []
    pose_source.reset()
    for frame in read_frames(path, rotate):
        times.append(frame.time_s)
        people.append(pose_source.submit(frame.image).result())
        height, width = frame.image.shape[:2]
        on_frame()
    arrays = {
        name: np.concatenate([getattr(each, name) for each in people])
        for name in ("keypoints", "scores", "boxes", "box_scores")
    }
    return PoseSequence(np.array(times), np.array([len(each) for each in people]), **arrays, image_hw=(height, width))


class PoseCache:
    """Keeps the poses of videos in a folder: one file for each video content and pose source.

    Args:
        folder: holds the files; made where it doesn't exist.
        build_source: returns the pose source; called once, for the first video that is not in the folder.
        source_key: text that differs between pose sources that give different poses.
        rotate: degrees clockwise by which images are turned.

    Raises:
        FalldetError: the folder can't be made.
    """

    def __init__(
        self, folder: Path, build_source: Callable[[], PoseSource], source_key: str, rotate: Rotation = 0
    ) -> None:
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise FalldetError(f"can't make the folder {folder}: {error.strerror}; choose another one") from None
        sweep_parts(folder)
        self.folder = folder
        self._build_source = build_source
        self._source: PoseSource | None = None
        self._source_key = f"{source_key} rotate={rotate}" if rotate else source_key
        self._rotate: Rotation = rotate

    def poses(self, video: Path, on_frame: Callable[[], None] = lambda: None) -> PoseSequence:
        """Return the poses of `video`, from the folder or estimated now; a damaged file is replaced.

        Args:
            video: a video file.
            on_frame: called after every frame that is estimated; may raise to stop.

        Raises:
            FalldetError: the video can't be read, or the pose source can't be built.
        """
        path = self.path_of(video)
        if path.is_file():
            try:
                return PoseSequence.load(path)
            except ValueError as error:
                logger.warning("%s; estimating the poses of %s again", error, video)
        if self._source is None:
            self._source = self._build_source()
        sequence = estimate_poses(video, self._source, on_frame, self._rotate)
        sequence.save(path)
        return sequence

    def path_of(self, video: Path) -> Path:
        """Return the file of the poses of `video`, whether it exists or not; raises FalldetError without the video."""
        digest = hashlib.sha256(self._source_key.encode())
        if video.exists() and not video.is_file():
            raise FalldetError(f"{video} is no file but a folder, a pipe or a device; give a video file")
        try:
            with video.open("rb") as stream:
                digest.update(hashlib.file_digest(stream, "sha256").digest())
        except OSError as error:
            raise FalldetError(f"can't read {video}: {error.strerror}; check the path") from None
        return self.folder / f"{digest.hexdigest()[:32]}.npz"


def pose_cache(folder: Path, config: Config, device: str = "CPU") -> PoseCache:
    """Return the cache of the poses that `config` gives.

    Each inference runs on one processor thread, unless `config` names a number: the last bits of a pose may depend on
    it. Cached poses thus don't depend on the number of worker processes. To use more cores, raise that number.

    Args:
        folder: holds the files.
        config: names the pose source; it is built for the first new video.
        device: OpenVINO device.

    Raises:
        FalldetError: the folder can't be made, or a network is unknown.
    """
    pose, movenet, topdown = config.pose, config.with_threads(1).movenet, config.with_threads(1).topdown
    key = poses_key(pose, movenet, topdown)
    return PoseCache(folder, lambda: build_pose_source(pose, movenet, topdown, device), key, config.video.rotate)


def poses_key(pose: PoseSettings, movenet: MoveNetSettings, topdown: TopDownSettings) -> str:
    """Return the versioned cache key of a pose source: it differs where the poses of the same video would.

    The key spells its fields out, so that renaming a setting or a class leaves cached poses valid. Raise
    `POSES_KEY_VERSION` when the code gives other poses from the same settings.
    """
    if pose.source == EMBEDDED:
        fields: dict[str, object] = {
            "source": EMBEDDED,
            "weights": _weights_key(movenet.checkpoint),
            "input_size": movenet.input_size,
            "min_person_score": movenet.min_person_score,
            "min_joint_score": movenet.min_joint_score,
            "precision": movenet.precision,
        }
    else:
        networks = [find_network(name) for name in pose.source.partition("+")[::2]]
        fields = {
            "source": "topdown",
            "networks": [network.digest() for network in networks],
            "engine": topdown.engine,
            "precision": topdown.precision,
            "det_interval": topdown.det_interval,
            "same_person_overlap": topdown.same_person_overlap,
            "duplicate_similarity": topdown.duplicate_similarity,
            "max_undetected_frames": topdown.max_undetected_frames,
            "min_person_score": topdown.min_person_score,
            "min_joint_score": topdown.min_joint_score,
            "max_people": topdown.max_people,
        }
        if topdown.precision == "int8":  # depends on the calibration video as well
            fields["int8"] = [sha256_of(int8_network(network).with_suffix(".bin")) for network in networks]
    return json.dumps({"version": POSES_KEY_VERSION, **fields}, sort_keys=True)


def _weights_key(checkpoint: str) -> str:
    """Return the name of a known checkpoint, whose bytes are pinned, or the sha256 of the user's own file."""
    return checkpoint if checkpoint in CHECKPOINTS else sha256_of(find_checkpoint(checkpoint))
