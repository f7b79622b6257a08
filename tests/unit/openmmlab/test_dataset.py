"""From the annotation file to the network's input: reading, sampling, augmentation and normalization."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("torch", reason="needs torch and the OpenMMLab packages (make install)")
pytest.importorskip("mmengine", reason="needs torch and the OpenMMLab packages (make install)")

import torch
from mmaction.datasets.transforms import PreNormalize2D
from mmaction.registry import DATASETS, TRANSFORMS
from mmengine.registry import DefaultScope

import falldet.openmmlab  # noqa: F401
from falldet.data.annotations import dump_annotations
from falldet.errors import FalldetError
from falldet.openmmlab.config import innermost_dataset, load_config
from falldet.skeleton import LEFT_JOINTS, RIGHT_JOINTS
from falldet.stages.preprocessing import WINDOW_FRAMES, prepare, uniform_indices
from falldet.types import Window

pytestmark = pytest.mark.openmmlab

CONFIG = Path(__file__).resolve().parents[3] / "configs" / "stgcn_fall.py"
HEIGHT, WIDTH = 360, 640


def clip(rng: np.random.Generator, frames: int = 70, name: str = "clip", **extra: Any) -> dict[str, Any]:
    """A clip of one person with a tenth of the joints missing."""
    scores = np.where(rng.random((1, frames, 17)) < 0.1, 0, rng.uniform(0.2, 1, (1, frames, 17)))
    keypoints = rng.uniform(5, (WIDTH - 5, HEIGHT - 5), (1, frames, 17, 2)) * (scores > 0)[..., None]
    return {
        "frame_dir": name,
        "label": 1,
        "img_shape": (HEIGHT, WIDTH),
        "original_shape": (HEIGHT, WIDTH),
        "total_frames": frames,
        "keypoint": keypoints.astype(np.float32),
        "keypoint_score": scores.astype(np.float32),
        **extra,
    }


def build(kind: str, **settings: Any) -> Callable[[dict[str, Any]], dict[str, Any]]:
    with DefaultScope.overwrite_default_scope("mmaction"):
        return TRANSFORMS.build(dict(type=kind, **settings))


def dataset(path: Path | list[str], split: str, pipeline: str = "test", **settings: Any) -> Any:
    config, files = load_config(CONFIG), path if isinstance(path, list) else str(path)
    with DefaultScope.overwrite_default_scope("mmaction"):
        steps = innermost_dataset(config, pipeline)["pipeline"]
        return DATASETS.build(dict(type="FallDataset", ann_file=files, split=split, pipeline=steps, **settings))


@pytest.fixture
def annotation_file(tmp_path: Path, rng: np.random.Generator) -> Path:
    clips = [clip(rng, frames, f"clip_{frames}") for frames in (30, 70, 120)]
    path = tmp_path / "falls.pkl"
    dump_annotations({"split": {"train": ["clip_30", "clip_120"], "test": ["clip_70"]}, "annotations": clips}, path)
    return path


def test_fall_dataset_reads_several_files_as_one(
    annotation_file: Path, tmp_path: Path, rng: np.random.Generator
) -> None:
    other = tmp_path / "more.pkl"
    dump_annotations({"split": {"train": ["more"]}, "annotations": [clip(rng, name="more")]}, other)
    samples = dataset([str(annotation_file), str(other)], "train")
    assert [samples.get_data_info(i)["frame_dir"] for i in range(3)] == ["clip_30", "clip_120", "more"]


def test_fall_dataset_reads_and_packs_a_split(annotation_file: Path) -> None:
    samples = dataset(annotation_file, "train")
    assert len(samples) == 2
    packed = samples[0]
    assert packed["inputs"].shape == (1, 1, 48, 17, 3)
    assert packed["inputs"].dtype == torch.float32
    assert packed["data_samples"].gt_label.tolist() == [1]
    assert packed["data_samples"].metainfo["frame_dir"] == "clip_30"


def test_fall_dataset_names_the_command_that_makes_a_missing_file(tmp_path: Path) -> None:
    with pytest.raises(FalldetError) as caught:
        dataset(tmp_path / "falls.pkl", "train")
    assert f"python tools/extract_kpts.py videos/ --out {tmp_path / 'falls.pkl'}" in str(caught.value)


def test_fall_dataset_names_an_unknown_split(annotation_file: Path) -> None:
    with pytest.raises(FalldetError, match="has no split 'val'"):
        dataset(annotation_file, "val")


def test_fall_dataset_cuts_windows_with_their_own_labels(tmp_path: Path, rng: np.random.Generator) -> None:
    falling = clip(rng, 150, "falling", time_s=np.arange(150) / 25, fall_intervals=[(3.0, 4.0)])
    path = tmp_path / "falls.pkl"
    dump_annotations({"split": {"train": ["falling"]}, "annotations": [falling]}, path)
    samples = dataset(path, "train", window={"length_s": 2.0, "stride_s": 0.5, "rates": [0.0]})
    labels = [samples.get_data_info(i)["label"] for i in range(len(samples))]
    assert set(labels) == {0, 1}
    assert {samples.get_data_info(i)["total_frames"] for i in range(len(samples))} == {WINDOW_FRAMES}
    assert samples[0]["inputs"].shape == (1, 1, WINDOW_FRAMES, 17, 3)


def test_fall_dataset_resamples_a_window_once(tmp_path: Path, rng: np.random.Generator) -> None:
    moving = clip(rng, 150, "moving", time_s=np.arange(150) / 25)
    moving["label"] = 0
    path = tmp_path / "falls.pkl"
    dump_annotations({"split": {"train": ["moving"]}, "annotations": [moving]}, path)
    samples = dataset(path, "train", window={"length_s": 2.0, "stride_s": 1.0})
    for index in range(len(samples)):
        window = samples.get_data_info(index)
        assert "window" not in window
        expected = build("NormalizeSkeleton")(window)["keypoint"]
        np.testing.assert_array_equal(samples[index]["inputs"][0, ..., :2].numpy(), expected)


def test_fall_dataset_refuses_to_resample_a_window_again(annotation_file: Path) -> None:
    steps = [dict(type="SampleMidpoints", clip_len=64), dict(type="PoseDecode")]
    with (
        DefaultScope.overwrite_default_scope("mmaction"),
        pytest.raises(FalldetError, match=r"SampleMidpoints\.clip_len = 64, but windows have 48 .* set clip_len = 48"),
    ):
        DATASETS.build(dict(type="FallDataset", ann_file=str(annotation_file), pipeline=steps, window={}))


def test_fall_dataset_names_an_unknown_key_of_the_window(annotation_file: Path) -> None:
    with pytest.raises(FalldetError, match=r"window\.lenght_s is unknown; known are length_s, .*begin_share, .*rates"):
        dataset(annotation_file, "train", window={"lenght_s": 2.0})


def test_fall_dataset_leaves_out_clips_by_the_beginning_of_their_names(
    tmp_path: Path, rng: np.random.Generator
) -> None:
    names = ["home/a", "home/b", "shop/a"]
    path = tmp_path / "falls.pkl"
    dump_annotations({"split": {"train": names}, "annotations": [clip(rng, 60, name) for name in names]}, path)
    kept = dataset(path, "train", leave_out=["home/"])
    assert [kept.get_data_info(i)["frame_dir"] for i in range(len(kept))] == ["shop/a"]


@pytest.mark.parametrize("frames", [1, 20, 48, 49, 200])
def test_sample_midpoints_is_deterministic_and_in_order(frames: int) -> None:
    before = str(np.random.get_state())  # noqa: NPY002
    indices = build("SampleMidpoints", clip_len=48)({"total_frames": frames})["frame_inds"]
    assert str(np.random.get_state()) == before  # noqa: NPY002
    np.testing.assert_array_equal(indices, uniform_indices(frames, 48))
    assert (np.diff(indices) >= 0).all()
    assert 0 <= indices.min() <= indices.max() < frames


def test_normalize_skeleton_equals_prenormalize2d_for_present_joints(rng: np.random.Generator) -> None:
    sample = clip(rng)
    visible = sample["keypoint_score"] > 0
    expected = PreNormalize2D()({**sample, "keypoint": sample["keypoint"].copy()})["keypoint"]
    found = build("NormalizeSkeleton", mode="image")(sample)["keypoint"]
    np.testing.assert_allclose(found[visible], expected[visible], atol=1e-6)
    assert (found[~visible] == 0).all()
    assert (expected[~visible] == -1).all()


def test_normalize_skeleton_refuses_an_unknown_mode() -> None:
    with pytest.raises(FalldetError, match="'room' is unknown; use one of image, person, person_causal"):
        build("NormalizeSkeleton", mode="room")


@pytest.mark.parametrize("frames", [30, 70, 120])
def test_train_pipeline_keeps_missing_joints_at_zero(rng: np.random.Generator, frames: int) -> None:
    config = load_config(CONFIG)
    with DefaultScope.overwrite_default_scope("mmaction"):
        steps = [TRANSFORMS.build(step) for step in innermost_dataset(config, "train")["pipeline"]]
    for _ in range(20):
        results = clip(rng, frames, modality="Pose", start_index=0)
        for step in steps:
            results = step(results)
        x, y, score = results["inputs"].unbind(-1)
        assert score.shape == (1, 1, 48, 17)
        assert (score == 0).any()
        assert not x[score == 0].any()
        assert not y[score == 0].any()
        assert x[score > 0].abs().max() < 4  # a crop to 0.56 of the area leaves joints outside, but not far


def test_flip_mirrors_present_joints_and_swaps_sides(rng: np.random.Generator) -> None:
    sample = clip(rng, modality="Pose")
    keypoints, scores = sample["keypoint"].copy(), sample["keypoint_score"].copy()
    flipped = build("Flip", flip_ratio=1.0, left_kp=LEFT_JOINTS, right_kp=RIGHT_JOINTS)(sample)
    for left, right in zip(LEFT_JOINTS, RIGHT_JOINTS, strict=True):
        visible = scores[0, :, right] > 0
        np.testing.assert_allclose(
            flipped["keypoint"][0, visible, left, 0], WIDTH - keypoints[0, visible, right, 0], atol=1e-4
        )
        np.testing.assert_array_equal(flipped["keypoint_score"][0, :, left], scores[0, :, right])
    assert (flipped["keypoint"][flipped["keypoint_score"] == 0] == 0).all()


def test_random_resized_crop_moves_the_joints_and_shrinks_the_image(rng: np.random.Generator) -> None:
    crop = build("RandomResizedCrop", area_range=(0.56, 1.0))
    for _ in range(50):
        sample = clip(rng, modality="Pose")
        keypoints = sample["keypoint"].copy()
        cropped = crop(sample)
        left, top, right, bottom = cropped["crop_bbox"]
        assert 0 <= left < right <= WIDTH
        assert 0 <= top < bottom <= HEIGHT
        assert cropped["img_shape"] == (bottom - top, right - left)
        np.testing.assert_allclose(cropped["keypoint"], keypoints - (left, top), atol=1e-3)


@pytest.mark.parametrize("mode", ["image", "person"])
def test_val_pipeline_gives_the_input_of_prepare(rng: np.random.Generator, mode: str) -> None:
    sample = clip(rng, frames=48, modality="Pose", start_index=0)
    window = Window(
        track_id=1,
        start_s=0.0,
        stop_s=2.0,
        time_s=(np.arange(48) + 0.5) / 24,
        keypoints=sample["keypoint"][0],
        scores=sample["keypoint_score"][0],
        image_hw=(HEIGHT, WIDTH),
    )
    expected = prepare([window], mode)
    config = load_config(CONFIG)
    for step in innermost_dataset(config, "test")["pipeline"]:
        settings = {**step, "mode": mode} if step["type"] == "NormalizeSkeleton" else step
        with DefaultScope.overwrite_default_scope("mmaction"):
            sample = TRANSFORMS.build(settings)(sample)
    np.testing.assert_allclose(sample["inputs"].numpy(), expected, atol=1e-6)


def test_causal_pipeline_gives_the_input_of_prepare(tmp_path: Path, rng: np.random.Generator) -> None:
    moving = clip(rng, 300, "moving", time_s=np.arange(300) / 25)
    moving["label"] = 0
    path = tmp_path / "falls.pkl"
    dump_annotations({"split": {"train": ["moving"]}, "annotations": [moving]}, path)
    config = load_config(CONFIG.with_name("stgcn_fall_best.py"))
    with DefaultScope.overwrite_default_scope("mmaction"):
        split = {**innermost_dataset(config, "test"), "ann_file": str(path), "split": "train"}
        samples = DATASETS.build(split)
    windows = [samples.get_data_info(index)["window"] for index in range(len(samples))]
    assert len(windows) > 30
    assert max(window.stop_s - window.start_s for window in windows) == pytest.approx(4.0)
    expected = prepare(windows, "person_causal")
    for index, batch in enumerate(expected):
        np.testing.assert_allclose(samples[index]["inputs"][0, 0].numpy(), batch, atol=1e-6)


def test_causal_training_pipeline_gives_finite_inputs_and_leaves_the_clip_alone(
    tmp_path: Path, rng: np.random.Generator
) -> None:
    falling = clip(rng, 200, "falling", time_s=np.arange(200) / 25, fall_intervals=[(3.0, 4.0)])
    path = tmp_path / "falls.pkl"
    dump_annotations({"split": {"train": ["falling"]}, "annotations": [falling]}, path)
    config = load_config(CONFIG.with_name("stgcn_fall_best.py"), ["train_dataloader.dataset.pipeline.2.share=0.5"])
    with DefaultScope.overwrite_default_scope("mmaction"):
        samples = DATASETS.build({**innermost_dataset(config, "train"), "ann_file": str(path)})
    before = [samples.data_list[index]["window"].keypoints.copy() for index in range(0, len(samples), 7)]
    for index in range(0, len(samples), 7):
        inputs = samples[index]["inputs"]
        assert inputs.shape == (1, 1, 48, 17, 4)
        assert torch.isfinite(inputs).all()
        assert (inputs[..., :2][inputs[..., 2] == 0] == 0).all()
    for index, keypoints in zip(range(0, len(samples), 7), before, strict=True):
        np.testing.assert_array_equal(samples.data_list[index]["window"].keypoints, keypoints)
    assert set(samples.labels()) == {0, 1}
    assert {name.partition("@")[0] for name in samples.names()} == {"falling"}


def test_fall_dataset_takes_the_descents_of_a_csv_file(tmp_path: Path, rng: np.random.Generator) -> None:
    falling = clip(rng, 200, "set/falling", time_s=np.arange(200) / 25, fall_intervals=[(3.0, 6.0)])
    path, descents = tmp_path / "falls.pkl", tmp_path / "descents.csv"
    dump_annotations({"split": {"train": ["set/falling"]}, "annotations": [falling]}, path)
    descents.write_text("clip,descent_s\nset/falling,1.0\n", encoding="utf-8")
    window = {"length_s": 2.0, "rates": [0.0]}
    ends = []
    for settings in ({}, {"descents": str(descents)}):
        samples = dataset(path, "train", window=window, **settings)
        stops = [
            float(name.split("@")[2]) for name, label in zip(samples.names(), samples.labels(), strict=True) if label
        ]
        ends.append((min(stops), max(stops)))
    assert ends[0][0] == pytest.approx(3 + 0.7 * 3, abs=0.25)
    assert ends[1] == (pytest.approx(3.75), pytest.approx(5.75))
    with pytest.raises(FalldetError, match=r"can't read .*none\.csv"):
        dataset(path, "train", window=window, descents=str(tmp_path / "none.csv"))
