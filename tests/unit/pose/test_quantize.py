"""int8: a network keeps what it is, its numbers hardly change, and wrong use ends in one sentence.

A real network takes NNCF a minute, so a small one stands in where only the way there is looked at.
"""

from __future__ import annotations

import contextlib
import io
import os
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import openvino
import pytest
from openvino import opset13 as ops
from openvino.preprocess import ColorFormat, PrePostProcessor

from falldet.config import build
from falldet.errors import FalldetError
from falldet.io.video import VideoWriter, read_frames
from falldet.models.checkpoints import find_checkpoint
from falldet.models.openvino import openvino_core
from falldet.pose import quantize as quantizing
from falldet.pose.estimator import CropPoseEstimator
from falldet.pose.exported import Network, int8_network, int8_path, read_network
from falldet.pose.movenet import MoveNet, MoveNetSettings
from falldet.pose.quantize import float_layers, import_nncf, quantize, quantize_network
from falldet.pose.source import PoseSettings, poses_key
from falldet.pose.topdown import TopDownSettings, make_topdown
from falldet.skeleton import JOINT_COUNT
from falldet.synthetic import SCENES

ROOT = Path(__file__).resolve().parents[3]


def draw(path: Path, scene: str, start_s: float, stop_s: float) -> Path:
    with VideoWriter(path) as writer:
        for frame in SCENES[scene]().frames():
            if start_s <= frame.time_s < stop_s:
                writer.write(frame.image, frame.time_s - start_s)
    return path


@pytest.fixture(scope="module")
def video(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Half a second of the sample clip, with somebody in it."""
    try:
        find_checkpoint("movenet_multipose")
    except FalldetError as error:
        pytest.skip(f"needs the pose model: {error}")
    return draw(tmp_path_factory.mktemp("video") / "person.mp4", "sample", 3.0, 3.5)


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
    with contextlib.redirect_stdout(io.StringIO()) as said:
        written = quantize(small, [video], small.with_name("small-int8.xml"))
    assert not said.getvalue(), "the tool's output is the path alone"
    return written


def test_an_int8_network_is_read_like_the_one_it_was_made_from(small: Path, small_int8: Path, video: Path) -> None:
    assert read_network(small_int8, "pose")[1] == read_network(small, "pose")[1]
    assert small_int8.with_suffix(".bin").stat().st_size < small.with_suffix(".bin").stat().st_size
    assert not list(small_int8.parent.glob("*.part"))
    image = next(iter(read_frames(video))).image
    keypoints, scores = CropPoseEstimator(small_int8, precision="int8")(image, np.array([[50.0, 40, 120, 200]] * 2))
    assert keypoints.shape == (2, JOINT_COUNT, 2)
    assert scores.shape == (2, JOINT_COUNT)


def test_the_numbers_of_an_int8_network_hardly_change(small: Path, small_int8: Path, video: Path) -> None:
    crops = np.stack([frame.image[:256, :192] for frame in read_frames(video)][::4])
    exact, rounded = (openvino_core().compile_model(path, "CPU")([crops])[0] for path in (small, small_int8))
    assert 0 < np.abs(rounded - exact).mean() < 0.03 * exact.std() + 0.01
    ranges = [node for node in read_network(small_int8, "pose")[0].get_ops() if node.get_type_name() == "FakeQuantize"]
    assert ranges, "something is int8 in it"


@pytest.mark.slow
def test_real_joints_in_int8_stay_on_the_body(
    shared_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("nncf")
    exact = write_tinypose(shared_data.parent / "checkpoints", tmp_path / "tinypose.xml")
    monkeypatch.setattr(quantizing, "PICTURES", 8)
    int8 = quantize(exact, [shared_data / "gmdcsa24" / "fall" / "s2_12.mp4"], tmp_path / "int8.xml")
    first, second, find_people = CropPoseEstimator(exact, precision="f32"), CropPoseEstimator(int8), MoveNet()
    moved = []
    for frame in list(read_frames(shared_data / "urfd" / "fall" / "fall-05-cam0.mp4"))[::20]:
        boxes = find_people(frame.image).boxes
        (keypoints, scores), (others, _) = first(frame.image, boxes), second(frame.image, boxes)
        moved += np.linalg.norm(keypoints - others, axis=2)[scores > 0.3].tolist()
    assert len(moved) > 50
    assert np.median(moved) < 4.0, "pixels of a picture of 320x240; 2 where it was made with more pictures"


def test_the_last_layers_and_the_decoding_stay_float(small: Path) -> None:
    model, _ = read_network(small, "pose")
    names = float_layers(model)
    assert "last" in names
    assert len(names) == 2, "and the sigmoid behind it, but no layer before it"


def test_ranges_come_from_pictures_all_over_the_video(video: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    count = sum(1 for _ in read_frames(video))
    seen = list(quantizing._pictures(video, 5))
    assert 4 <= len(seen) <= 5
    last = [frame.image for frame in read_frames(video)][count - count // 4 :]
    assert any(np.array_equal(seen[-1], image) for image in last)
    assert len(list(quantizing._pictures(video, 10_000))) == count


@pytest.fixture
def network(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Network:
    """A network by name, its weights a file of some bytes, and a cache of its own."""
    monkeypatch.setenv("FALLDET_CACHE", str(tmp_path / "cache"))
    (tmp_path / "my_pose.py").write_text(f'load_from = "{tmp_path / "w.pth"}"\n', encoding="utf-8")
    (tmp_path / "w.pth").write_bytes(b"weights")
    return Network(tmp_path / "my_pose.py", tmp_path / "w.pth")


def test_without_the_int8_file_one_sentence_names_the_command(network: Network) -> None:
    with pytest.raises(FalldetError, match=r"python tools/export.py .*my_pose.py --int8 video.mp4"):
        int8_network(network)
    with pytest.raises(FalldetError, match=r"--int8 video\.mp4"):
        make_topdown(f"{network.config}+{network.config}", TopDownSettings(precision="int8"))


def test_poses_of_another_int8_file_have_another_name(network: Network) -> None:
    pose, settings = PoseSettings(f"{network.config}+{network.config}"), TopDownSettings(precision="int8")
    names = set()
    for content in (b"one video", b"another video"):
        int8_path(network).parent.mkdir(parents=True, exist_ok=True)
        int8_path(network).touch()
        int8_path(network).with_suffix(".bin").write_bytes(content)
        names.add(poses_key(pose, MoveNetSettings(), settings))
    names.add(poses_key(pose, MoveNetSettings(), replace(settings, precision="f32")))
    assert len(names) == 3


def test_without_nncf_one_sentence_names_the_cure(network: Network, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "nncf", None)
    with pytest.raises(FalldetError, match=r"pip install -r requirements-int8\.txt"):
        quantize_network(network, ["video.mp4"])


@pytest.mark.parametrize(
    ("source", "message"),
    [
        (lambda folder: folder / "missing.mp4", "no such video"),
        (lambda folder: ROOT / "README.md", "as video"),
        (lambda folder: "rtsp://user:secret@camera/1", "rtsp://camera/1 is a stream"),
    ],
)
def test_what_is_no_video_is_told_before_anything_is_exported(
    source: Callable[[Path], str | Path], message: str, network: Network, tmp_path: Path
) -> None:
    pytest.importorskip("nncf")
    with pytest.raises(FalldetError, match=message):
        quantize_network(network, [source(tmp_path)])


def test_a_video_without_people_is_told(small: Path, video: Path, tmp_path: Path) -> None:
    pytest.importorskip("nncf")
    empty = tmp_path / "empty.mp4"
    with VideoWriter(empty) as writer:
        for number in range(5):
            writer.write(np.full((120, 160, 3), 90, np.uint8), number / 25)
    with pytest.raises(FalldetError, match=r"nobody is seen in .*empty.mp4"):
        quantize(small, [empty], tmp_path / "out.xml")
    assert not list(tmp_path.glob("out*"))


def test_int8_needs_openvino() -> None:
    with pytest.raises(FalldetError, match=r"topdown: precision = 'int8' needs engine = 'openvino'"):
        build(TopDownSettings, {"precision": "int8", "engine": "torch"}, "topdown")


def test_nncf_sends_nothing_to_its_maker(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("nncf")
    monkeypatch.delenv("NNCF_CI", raising=False)
    import_nncf()
    assert os.environ["NNCF_CI"]
