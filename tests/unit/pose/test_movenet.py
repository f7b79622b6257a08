"""The embedded pose source: inferences in flight together, in several threads, and compiled models in the cache."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from itertools import islice
from pathlib import Path

import numpy as np
import pytest

from falldet.errors import FalldetError
from falldet.models.openvino import openvino_core
from falldet.pose.movenet import MoveNet, MoveNetSettings
from falldet.synthetic import SCENES
from falldet.types import People

SCENE = SCENES["fall_in_company"]()


@pytest.fixture
def movenet(pose_model: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[[], MoveNet]:
    """Makes pose sources whose compiled models are kept in a folder of the test's own."""
    monkeypatch.setenv("FALLDET_CHECKPOINTS", str(pose_model.parent))
    monkeypatch.setenv("FALLDET_CACHE", str(tmp_path))
    return MoveNet


def as_bytes(people: People) -> tuple[bytes, ...]:
    return people.keypoints.tobytes(), people.scores.tobytes(), people.boxes.tobytes(), people.box_scores.tobytes()


def scene_images() -> list[np.ndarray]:
    """Five images of the scene, one of another shape."""
    images = [frame.image for frame in islice(replace(SCENE, fps=1.0).frames(), 5)]
    images[3] = images[3][:200]
    return images


def test_movenet_submit_keeps_images_in_flight_apart(movenet: Callable[[], MoveNet]) -> None:
    images, source = scene_images(), movenet()
    plain = [as_bytes(source.submit(image).result()) for image in images]
    assert len(set(plain)) == len(images)
    futures = [source.submit(image) for image in images]
    assert [as_bytes(future.result()) for future in reversed(futures)] == plain[::-1]
    assert source.max_in_flight > 1


def test_movenet_submit_gives_the_same_people_from_several_threads(movenet: Callable[[], MoveNet]) -> None:
    images, source = scene_images(), movenet()
    plain = [as_bytes(source.submit(image).result()) for image in images]

    def camera(first: int) -> list[tuple[bytes, ...]]:
        futures = [source.submit(images[(first + step) % len(images)]) for step in range(20)]
        return [as_bytes(future.result()) for future in futures]

    with ThreadPoolExecutor(4) as cameras:
        found = list(cameras.map(camera, range(4)))
    for first, people in enumerate(found):
        assert people == [plain[(first + step) % len(images)] for step in range(20)]


def test_movenet_submit_does_not_change_the_image(movenet: Callable[[], MoveNet]) -> None:
    image = scene_images()[0]
    before = image.copy()
    movenet().submit(image).result()
    np.testing.assert_array_equal(image, before)


def test_movenet_future_raises_where_the_file_is_no_movenet(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FALLDET_CACHE", str(tmp_path / "cache"))
    (tmp_path / "other.tflite").write_bytes(b"no model")
    source = MoveNet(MoveNetSettings(checkpoint=str(tmp_path / "other.tflite")))
    future = source.submit(np.zeros((64, 64, 3), np.uint8))
    with pytest.raises(FalldetError, match=r"other.tflite is no MoveNet for device 'CPU'; set another --device"):
        future.result()


@pytest.mark.parametrize("wrong", [{"input_size": 250}, {"input_size": 0}, {"min_person_score": 1.1}])
def test_movenet_settings_refuse_values_out_of_range(wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="must be"):
        MoveNetSettings(**wrong)  # type: ignore[arg-type]


def test_movenet_gives_the_same_people_from_the_cache_and_replaces_a_damaged_model(
    movenet: Callable[[], MoveNet], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    image = next(iter(SCENE.frames())).image
    fresh = as_bytes(movenet().submit(image).result())
    (kept,) = (tmp_path / "compiled").iterdir()
    with monkeypatch.context() as patch:
        patch.setattr(openvino_core(), "compile_model", None, raising=False)
        assert as_bytes(movenet().submit(image).result()) == fresh
    kept.write_bytes(b"no model")
    assert as_bytes(movenet().submit(image).result()) == fresh
    assert kept.stat().st_size > 1000


def test_movenet_runs_without_a_cache_that_can_be_written(
    movenet: Callable[[], MoveNet], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("FALLDET_CACHE", str(tmp_path / "file"))
    image = next(iter(SCENE.frames())).image
    assert len(movenet().submit(image).result()) >= 1
