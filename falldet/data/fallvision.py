"""FallVision's keypoints as annotations: thousands of short clips for training in addition to one's own videos.

The source is an .npz of COCO-17 tracks, one person a clip, each labeled fall or not as a whole. The time of the descent
is estimated from the pose: it is the steepest drop of the body in the middle half of the clip.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from falldet.data.annotations import SPLIT_NAMES, Annotation, AnnotationFile
from falldet.errors import FalldetError
from falldet.io.arrays import read_arrays
from falldet.skeleton import JOINT_COUNT

DROP_SPAN_S = 0.4
"""Time span over which the drop of the body is measured, seconds."""

DESCENT_HALF_S = 0.5
"""Half the length of an estimated descent, seconds: it is centered on the steepest drop."""

_ARRAYS = ("kp", "score", "length", "label", "name", "split", "fps")


def read_fallvision(path: str | Path) -> AnnotationFile:
    """Return the clips of a FallVision keypoint file as the contents of an annotation file.

    Args:
        path: .npz with kp (F, 17, 2) pixels, score (F, 17) uint8 / 255, and for each of N clips length, label, name and
            split; fps for all.

    Raises:
        FalldetError: the file is missing or of another format.
    """
    try:
        data = read_arrays(path, _ARRAYS)
    except FileNotFoundError:
        raise FalldetError(f"no file {path}; give FallVision's keypoint .npz") from None
    except (OSError, ValueError) as error:
        raise FalldetError(f"{path} is no FallVision keypoint file: {error}") from None
    if data["kp"].shape[1:] != (JOINT_COUNT, 2) or data["length"].sum() != len(data["kp"]):
        raise FalldetError(f"{path} is no FallVision keypoint file: kp {data['kp'].shape} doesn't fit its lengths")
    annotations = list(_annotations(data))
    split = {
        name: [each["frame_dir"] for each, own in zip(annotations, data["split"], strict=True) if own == name]
        for name in SPLIT_NAMES
    }
    return {"split": split, "annotations": annotations}


def steepest_descent(keypoints: np.ndarray, scores: np.ndarray, fps: float) -> int:
    """Return the index of the frame at the center of the body's steepest drop in the middle half of a track.

    Args:
        keypoints: (T, K, 2) pixels, y down.
        scores: (T, K), 0 for a missing joint.
        fps: frames per second.
    """
    visible = scores > 0
    total = np.maximum(visible.sum(axis=1), 1)
    height = (keypoints[..., 1] * visible).sum(axis=1) / total  # (T,)
    present = np.flatnonzero(visible.any(axis=1))
    height = np.interp(np.arange(len(height)), present, height[present]) if len(present) else height
    span = max(1, min(round(DROP_SPAN_S * fps), len(height) - 1))
    drop = height[span:] - height[:-span]
    middle = np.arange(len(drop)) + span // 2
    inside = (middle >= len(height) // 4) & (middle <= 3 * len(height) // 4)
    return int(middle[inside][np.argmax(drop[inside])]) if inside.any() else len(height) // 2


def _annotations(data: dict[str, np.ndarray]) -> Iterator[Annotation]:
    fps = float(data["fps"])
    stops = np.cumsum(data["length"])
    for row, (start, stop) in enumerate(zip(stops - data["length"], stops, strict=True)):
        scores = data["score"][start:stop].astype(np.float32) / 255
        keypoints = np.where(scores[..., None] > 0, data["kp"][start:stop], 0).astype(np.float32)
        side = int(keypoints.max()) + 1  # the image size is unknown; person-centered coordinates do without
        annotation: Annotation = {
            "frame_dir": f"fallvision/{row}_{data['name'][row]}",
            "label": int(data["label"][row]),
            "img_shape": (side, side),
            "original_shape": (side, side),
            "total_frames": int(stop - start),
            "keypoint": keypoints[None],
            "keypoint_score": scores[None],
            "time_s": np.arange(stop - start) / fps,
            "fall_intervals": [],
            "source": "fallvision",
        }
        if annotation["label"]:
            center_s = steepest_descent(keypoints, scores, fps) / fps
            annotation["fall_intervals"] = [[max(0.0, center_s - DESCENT_HALF_S), center_s + DESCENT_HALF_S]]
        yield annotation
