"""Quantization to int8: the network's outputs change little, and mistakes are reported in one sentence.

A real network takes NNCF a minute, so most tests quantize a small one.
"""

from __future__ import annotations

import contextlib
import io
import sys
from pathlib import Path

import numpy as np
import openvino
import pytest
from openvino import opset13 as ops
from openvino.preprocess import ColorFormat, PrePostProcessor

from falldet.config import build
from falldet.errors import FalldetError
from falldet.io.video import read_frames
from falldet.io.video_writer import VideoWriter
from falldet.models.checkpoints import find_checkpoint
from falldet.models.openvino import openvino_core
from falldet.pose import quantize as quantize_module
from falldet.pose.estimator import CropPoseEstimator
from falldet.pose.exported import read_network
from falldet.pose.movenet import MoveNet
from falldet.pose.quantize import float_layers, import_nncf, quantize
from falldet.pose.topdown import TopDownSettings
from falldet.skeleton import JOINT_COUNT
from falldet.synthetic import SCENES

ROOT = Path(__file__).resolve().parents[3]


def render(path: Path, scene: str, start_s: float, stop_s: float) -> Path:
    with VideoWriter(path) as writer:
        for frame in SCENES[scene]().frames():
            if start_s <= frame.time_s < stop_s:
                writer.write(frame.image, frame.time_s - start_s)
    return path


@pytest.fixture(scope="module")
def video(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Half a second of the sample clip, with a person in it."""
    try:
        find_checkpoint("movenet_multipose")
    except FalldetError as error:
        pytest.skip(f"needs the pose model: {error}")
    return render(tmp_path_factory.mktemp("video") / "person.mp4", "sample", 3.0, 3.5)


def write_tinypose(folder: Path, path: Path) -> Path:
    """Write PP-TinyPose with the input and metadata of an exported network, and its makers' mean and deviation."""
    steps = PrePostProcessor(openvino_core().read_model(folder / "tinypose_256x192_fp16.xml"))
    steps.input(0).tensor().set_element_type(openvino.Type.u8).set_layout(openvino.Layout("NHWC"))
    steps.input(0).tensor().set_color_format(ColorFormat.BGR)
    steps.input(0).model().set_layout(openvino.Layout("NCHW"))
    preparation = steps.input(0).preprocess().convert_color(ColorFormat.RGB).convert_element_type(openvino.Type.f32)
    preparation.mean([123.675, 116.28, 103.53]).scale([58.395, 57.12, 57.375])
    model = steps.build()
    model.reshape([-1, 256, 192, 3])
    for key, value in {"kind": "pose", "codec": "heatmap"}.items():
        model.set_rt_info(value, ["framework", f"falldet.{key}"])
    openvino.save_model(model, path, compress_to_fp16=False)
    return path


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A pose network of three convolutions with the inputs, outputs and metadata of an exported one."""
    rng = np.random.default_rng(5)

    def convolution(value: openvino.Node, before: int, after: int, side: int, stride: int) -> openvino.Node:
        weights = rng.normal(0, (before * side**2) ** -0.5, (after, before, side, side)).astype(np.float32)
        return ops.convolution(value, weights, [stride] * 2, [side // 2] * 2, [side // 2] * 2, [1, 1])

    crops = ops.parameter([-1, 256, 192, 3], np.uint8, name="crops")
    pixels = ops.transpose(ops.convert(crops, np.float32), [0, 3, 1, 2])
    features = ops.relu(convolution(ops.multiply(pixels, np.float32(1 / 255)), 3, 8, 3, 2))
    features = ops.relu(convolution(features, 8, 16, 3, 2))
    heatmaps = convolution(features, 16, JOINT_COUNT, 1, 1)
    heatmaps.set_friendly_name("last")
    model = openvino.Model([ops.sigmoid(heatmaps)], [crops], "small")
    for key, value in {"kind": "pose", "codec": "heatmap"}.items():
        model.set_rt_info(value, ["framework", f"falldet.{key}"])
    path = tmp_path_factory.mktemp("small") / "small.xml"
    openvino.save_model(model, path, compress_to_fp16=False)
    return path


@pytest.fixture(scope="module")
def small_int8(small: Path, video: Path) -> Path:
    pytest.importorskip("nncf", reason="needs NNCF, requirements/int8.txt")
    with contextlib.redirect_stdout(io.StringIO()) as output:
        written = quantize(small, [video], small.with_name("small-int8.xml"))
    assert not output.getvalue(), "the tool prints the path alone"
    return written


def test_quantize_writes_a_network_like_the_one_it_reads(small: Path, small_int8: Path, video: Path) -> None:
    assert read_network(small_int8, "pose")[1] == read_network(small, "pose")[1]
    assert small_int8.with_suffix(".bin").stat().st_size < small.with_suffix(".bin").stat().st_size
    assert not list(small_int8.parent.glob("*.part"))
    image = next(iter(read_frames(video))).image
    keypoints, scores = CropPoseEstimator(small_int8, precision="int8")(image, np.array([[50.0, 40, 120, 200]] * 2))
    assert keypoints.shape == (2, JOINT_COUNT, 2)
    assert scores.shape == (2, JOINT_COUNT)


def test_quantize_changes_the_outputs_little(small: Path, small_int8: Path, video: Path) -> None:
    crops = np.stack([frame.image[:256, :192] for frame in read_frames(video)][::4])
    exact, rounded = (openvino_core().compile_model(path, "CPU")([crops])[0] for path in (small, small_int8))
    assert 0 < np.abs(rounded - exact).mean() < 0.03 * exact.std() + 0.01
    ranges = [node for node in read_network(small_int8, "pose")[0].get_ops() if node.get_type_name() == "FakeQuantize"]
    assert ranges, "some layers are int8"


@pytest.mark.slow
def test_quantize_keeps_real_joints_on_the_body(
    shared_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("nncf")
    exact = write_tinypose(shared_data.parent / "checkpoints", tmp_path / "tinypose.xml")
    monkeypatch.setattr(quantize_module, "MAX_IMAGES", 8)
    int8 = quantize(exact, [shared_data / "gmdcsa24" / "fall" / "s2_12.mp4"], tmp_path / "int8.xml")
    float_network, int8_network = CropPoseEstimator(exact, precision="f32"), CropPoseEstimator(int8)
    pose_source = MoveNet()
    moved = []
    for frame in list(read_frames(shared_data / "urfd" / "fall" / "fall-05-cam0.mp4"))[::20]:
        boxes = pose_source.submit(frame.image).result().boxes
        (keypoints, scores), (others, _) = float_network(frame.image, boxes), int8_network(frame.image, boxes)
        moved += np.linalg.norm(keypoints - others, axis=2)[scores > 0.3].tolist()
    assert len(moved) > 50
    assert np.median(moved) < 4.0, "pixels of an image of 320x240; about 2 with more calibration images"


def test_float_layers_are_the_last_layers_and_the_decoding(small: Path) -> None:
    model, _ = read_network(small, "pose")
    names = float_layers(model)
    assert "last" in names
    assert len(names) == 2, "and the sigmoid after it, but no layer before it"


def test_calibration_images_are_evenly_spaced_over_the_video(video: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    count = sum(1 for _ in read_frames(video))
    images = list(quantize_module._images(video, 5))
    assert 4 <= len(images) <= 5
    last = [frame.image for frame in read_frames(video)][count - count // 4 :]
    assert any(np.array_equal(images[-1], image) for image in last)
    assert len(list(quantize_module._images(video, 10_000))) == count


def test_quantize_refuses_a_video_without_people(small: Path, video: Path, tmp_path: Path) -> None:
    pytest.importorskip("nncf")
    empty = tmp_path / "empty.mp4"
    with VideoWriter(empty) as writer:
        for index in range(5):
            writer.write(np.full((120, 160, 3), 90, np.uint8), index / 25)
    with pytest.raises(FalldetError, match=r"no person is detected in .*empty.mp4"):
        quantize(small, [empty], tmp_path / "out.xml")
    assert not list(tmp_path.glob("out*"))


def test_topdown_settings_refuse_int8_without_openvino() -> None:
    with pytest.raises(FalldetError, match=r"topdown: precision = 'int8' needs engine = 'openvino'"):
        build(TopDownSettings, {"precision": "int8", "engine": "torch"}, "topdown")


def test_import_nncf_leaves_the_telemetry_package_unloaded() -> None:
    pytest.importorskip("nncf")
    import_nncf()
    assert sys.modules["openvino_telemetry"] is None
