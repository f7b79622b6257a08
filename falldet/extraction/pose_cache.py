"""The poses of a whole video in one small file, so that extraction goes on where it stopped and evaluation is quick."""

from __future__ import annotations

import hashlib
import json
import logging
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from falldet.build import build_pose_source
from falldet.errors import FalldetError
from falldet.io.files import atomic_write, sha256_of
from falldet.io.video import read_frames
from falldet.models.checkpoints import find_checkpoint
from falldet.models.zoo import CHECKPOINTS
from falldet.pipeline.config import Config
from falldet.pose.exported import find_network, int8_network
from falldet.pose.movenet import MoveNetSettings
from falldet.pose.source import EMBEDDED, PoseSettings, PoseSource
from falldet.pose.topdown import TopDownSettings
from falldet.types import People

logger = logging.getLogger(__name__)

FORMAT = 1
"""Version of the .npz layout."""

POSES_KEY_VERSION = 1
"""Version of the cache key: raise it when the same settings give other poses."""


@dataclass(frozen=True, slots=True)
class PoseSequence:
    """Everybody seen in every frame of a video, before tracking.

    Attributes:
        time_s: (F,) float64, times of the frames in seconds.
        counts: (F,) int64, people in each frame; the other arrays hold them one after the other, P in all.
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
        """Write the sequence to `path` in one step, without pickle; raises FalldetError where that can't be done."""
        values = {name: getattr(self, name) for name in self.__dataclass_fields__}
        with atomic_write(path, binary=True) as stream:
            np.savez(stream, format=FORMAT, **values)

    @classmethod
    def load(cls, path: Path) -> PoseSequence:
        """Read a sequence; raises ValueError where the file is damaged or of another format."""
        try:
            with np.load(path, allow_pickle=False) as arrays:
                if int(arrays["format"]) != FORMAT:
                    raise ValueError(f"{path} has another format")
                values = {name: arrays[name] for name in cls.__dataclass_fields__}
        except (OSError, KeyError, EOFError, zipfile.BadZipFile) as error:
            raise ValueError(f"{path} is damaged: {error}") from None
        height, width = values.pop("image_hw").tolist()
        return cls(**values, image_hw=(height, width))


def estimate_poses(path: Path, pose_source: PoseSource, on_frame: Callable[[], None] = lambda: None) -> PoseSequence:
    """Return the poses of the video at `path`; raises FalldetError where it can't be read.

    Args:
        path: a video file.
        pose_source: image in, people out.
        on_frame: called after every frame; may raise to stop.
    """
    times: list[float] = []
    people: list[People] = []
    pose_source.reset()
    for frame in read_frames(path):
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
    """Keeps the poses of videos in a folder, one file per content of a video and settings of the pose source.

    Args:
        folder: where the files are kept.
        pose_source: makes the poses that are not there yet.
        settings_name: says how: any text that changes when the poses would.

    Raises:
        FalldetError: the folder can't be made.
    """

    def __init__(self, folder: Path, pose_source: Callable[[], PoseSource], settings_name: str) -> None:
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise FalldetError(f"can't make the folder {folder}: {error.strerror}; choose another one") from None
        self.folder = folder
        self._make = pose_source
        self._source: PoseSource | None = None
        self._settings_name = settings_name

    def poses(self, video: Path, on_frame: Callable[[], None] = lambda: None) -> PoseSequence:
        """Return the poses of `video`, from its file if there is one; raises FalldetError where it can't be read."""
        path = self.folder / f"{self._key(video)}.npz"
        if path.is_file():
            try:
                return PoseSequence.load(path)
            except ValueError as error:
                logger.warning("%s; looking at %s again", error, video)
        if self._source is None:
            self._source = self._make()
        sequence = estimate_poses(video, self._source, on_frame)
        sequence.save(path)
        return sequence

    def _key(self, video: Path) -> str:
        digest = hashlib.sha256(self._settings_name.encode())
        try:
            with video.open("rb") as stream:
                digest.update(hashlib.file_digest(stream, "sha256").digest())
        except OSError as error:
            raise FalldetError(f"can't read {video}: {error.strerror}; check the path") from None
        return digest.hexdigest()[:32]


def pose_cache(folder: Path, config: Config, device: str = "CPU") -> PoseCache:
    """Return the cache of poses made with `config`; the model is loaded only when a video is new."""
    groups = (config.pose, config.movenet, config.topdown)
    return PoseCache(folder, lambda: build_pose_source(*groups, device), poses_key(*groups))


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
