"""FallVision's keypoints: read into annotations, with the descent where the body drops."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from falldet.data.annotations import check_annotations
from falldet.data.fallvision import DESCENT_HALF_S, read_fallvision, steepest_descent
from falldet.errors import FalldetError

FPS = 30.0


def descent(frames: int, middle: int, span: int = 12) -> np.ndarray:
    """A body (frames, 17, 2) that sinks by 100 px around frame `middle`."""
    height = np.interp(np.arange(frames), [middle - span / 2, middle + span / 2], [50, 150])
    body = np.tile(np.linspace(-20, 20, 17), (frames, 1))
    return np.stack([np.full((frames, 17), 200.0), height[:, None] + body], axis=2)


def write(path: Path, **changes: np.ndarray) -> Path:
    clips = [descent(60, 35), np.full((40, 17, 2), 120.0)]
    data = {
        "kp": np.concatenate(clips).astype(np.uint16),
        "score": np.full((100, 17), 200, np.uint8),
        "length": np.array([60, 40], np.int32),
        "label": np.array([1, 0], np.uint8),
        "name": np.array(["a", "a"]),
        "split": np.array(["train", "val"]),
        "fps": np.float32(FPS),
    }
    np.savez(path, **(data | changes))
    return path


def test_read_fallvision_gives_valid_annotations(tmp_path: Path) -> None:
    contents = check_annotations(read_fallvision(write(tmp_path / "f.npz")), "f")
    fall, other = contents["annotations"]
    assert contents["split"] == {"train": [fall["frame_dir"]], "val": [other["frame_dir"]], "test": []}
    assert (fall["label"], other["label"]) == (1, 0)
    ((start_s, end_s),) = fall["fall_intervals"]
    assert start_s == pytest.approx(35 / FPS - DESCENT_HALF_S, abs=0.1)
    assert end_s == pytest.approx(35 / FPS + DESCENT_HALF_S, abs=0.1)
    assert other["fall_intervals"] == []
    assert fall["keypoint_score"].max() == pytest.approx(200 / 255)


@pytest.mark.parametrize("middle", [20, 30, 40])
def test_steepest_descent_is_found(middle: int) -> None:
    assert abs(steepest_descent(descent(60, middle), np.ones((60, 17)), FPS) - middle) <= 2


def test_steepest_descent_ignores_a_drop_outside_the_middle_half() -> None:
    found = steepest_descent(descent(80, 6) + 0.5 * descent(80, 40), np.ones((80, 17)), FPS)
    assert abs(found - 40) <= 2


def test_steepest_descent_bridges_frames_without_a_person() -> None:
    keypoints, scores = descent(60, 35), np.ones((60, 17))
    keypoints[20:24], scores[20:24] = 0, 0
    assert abs(steepest_descent(keypoints, scores, FPS) - 35) <= 2


def test_steepest_descent_takes_very_short_and_empty_tracks() -> None:
    assert steepest_descent(np.zeros((1, 17, 2)), np.ones((1, 17)), FPS) == 0
    assert 0 <= steepest_descent(np.zeros((5, 17, 2)), np.zeros((5, 17)), FPS) < 5


def test_read_fallvision_refuses_other_files(tmp_path: Path) -> None:
    (tmp_path / "text.npz").write_text("no archive")
    np.savez(tmp_path / "other.npz", kp=np.zeros(3))
    write(tmp_path / "cut.npz", length=np.array([60, 41], np.int32))
    write(tmp_path / "evil.npz", name=np.array([print, print], dtype=object))
    for name in ("text", "other", "cut", "evil"):
        with pytest.raises(FalldetError, match="no FallVision keypoint file"):
            read_fallvision(tmp_path / f"{name}.npz")
    with pytest.raises(FalldetError, match=r"no file .*none\.npz"):
        read_fallvision(tmp_path / "none.npz")
