"""The baseline pipeline in torch and in OpenVINO: equal outputs, and real weights on real people."""

from __future__ import annotations

import os
import pickle
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch", reason="needs torch and the OpenMMLab packages (make install)")
pytest.importorskip("mmengine", reason="needs torch and the OpenMMLab packages (make install)")

import carried_weights
import cv2
import openvino
import torch
from mmengine.registry import DefaultScope
from openvino.preprocess import ColorFormat, PrePostProcessor
from torch import nn

from falldet.errors import FalldetError
from falldet.geometry import box_area, object_keypoint_similarity
from falldet.io.video import read_frames
from falldet.models.zoo import CHECKPOINTS
from falldet.openmmlab.config import load_config
from falldet.openmmlab.export_pose import export_pose_network
from falldet.openmmlab.inference import (
    TorchDetector,
    TorchPoseEstimator,
    build_network,
    library_of,
    scope,
)
from falldet.openmmlab.recognizer import TorchRecognizer
from falldet.pose.detector import YoloxDetector
from falldet.pose.estimator import CropPoseEstimator
from falldet.pose.movenet import MoveNet
from falldet.pose.topdown import TopDown, TopDownSettings
from falldet.types import Window

pytestmark = pytest.mark.openmmlab

ROOT = Path(__file__).resolve().parents[3]
SHARED = ROOT.parent / "shared"
CONFIGS = ROOT / "configs"
HRNET, YOLOX, RTMPOSE = (CONFIGS / f"{name}.py" for name in ("hrnet_w32_coco", "yolox_s_person", "rtmpose_m_coco"))

needs_weights = pytest.mark.skipif(
    not (SHARED / "checkpoints").is_dir(), reason="needs the real weights in ../shared/checkpoints"
)


def random_network(config_path: Path) -> nn.Module:
    """The config's network with random weights whose scores are spread over (0, 1)."""
    torch.manual_seed(0)
    config = load_config(config_path)
    library = library_of(config)
    with scope(library):
        if library == "mmdet":
            from mmdet.registry import MODELS
        else:
            from mmpose.registry import MODELS
        network = MODELS.build(config.model)
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.momentum = 1.0  # the statistics of one batch are kept
    with scope(library), torch.no_grad():
        network.train().extract_feat(torch.rand(2, 3, 256, 192) * 255)
    for name, module in network.named_modules():
        if isinstance(module, nn.Conv2d) and any(part in name for part in ("final_layer", "conv_cls.", "conv_obj.")):
            module.weight.data.normal_(0, 0.5 if "final_layer" in name else 0.15)
            module.bias.data.zero_()
        if isinstance(module, nn.Conv2d) and "conv_reg." in name:
            module.weight.data.normal_(0, 0.02)  # boxes of one to three strides
            module.bias.data.fill_(0.5)
    return network


@pytest.fixture(scope="session")
def random_weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkpoints folder with files of random weights under the official names."""
    folder = tmp_path_factory.mktemp("random_weights")
    for config, name in ((YOLOX, "yolox_s"), (HRNET, "hrnet_w32"), (RTMPOSE, "rtmpose_m")):
        torch.save({"state_dict": random_network(config).state_dict()}, folder / CHECKPOINTS[name].file_name)
    return folder


@pytest.fixture(scope="session")
def nano(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Config and checkpoint of MMDetection's YOLOX-nano with Megvii's official weights."""
    folder = tmp_path_factory.mktemp("nano")
    (folder / "nano.py").write_text(carried_weights.CONFIG, encoding="utf-8")
    return folder / "nano.py", carried_weights.carry(SHARED / "checkpoints" / "yolox_nano.onnx", folder / "nano.pth")


@pytest.fixture(scope="session")
def nano_detector(nano: tuple[Path, Path]) -> YoloxDetector:
    return YoloxDetector(export_pose_network(*nano, nano[1].with_suffix(".onnx")), precision="f32")


@pytest.fixture(scope="session")
def tinypose(tmp_path_factory: pytest.TempPathFactory) -> CropPoseEstimator:
    """PP-TinyPose with falldet's crop and decoding, and the preprocessing of its authors (ImageNet's)."""
    preparation = PrePostProcessor(openvino.Core().read_model(SHARED / "checkpoints" / "tinypose_256x192_fp16.xml"))
    entrance = preparation.input(0)
    entrance.tensor().set_element_type(openvino.Type.u8).set_layout(openvino.Layout("NHWC")).set_color_format(
        ColorFormat.BGR
    )
    entrance.model().set_layout(openvino.Layout("NCHW"))
    steps = entrance.preprocess().convert_color(ColorFormat.RGB).convert_element_type(openvino.Type.f32)
    steps.mean([123.675, 116.28, 103.53]).scale([58.395, 57.12, 57.375])
    model = preparation.build()
    model.reshape([-1, 256, 192, 3])
    model.set_rt_info("pose", ["framework", "falldet.kind"])
    model.set_rt_info("heatmap", ["framework", "falldet.codec"])
    path = tmp_path_factory.mktemp("tinypose") / "tinypose.xml"
    openvino.save_model(model, path, compress_to_fp16=False)
    return CropPoseEstimator(path, precision="f32")


@pytest.fixture(scope="session")
def real_frames(shared_data: Path) -> list[np.ndarray]:
    """Frames of three videos with people standing, falling and lying, and of a shop with several people."""
    names = ("urfd/fall/fall-07-cam0.mp4", "gmdcsa24/s1/s1_10.mp4", "survnofight/nofi053.mp4")
    videos = [path for name in names for path in shared_data.rglob(Path(name).name)]
    assert len(videos) == len(names)
    return [frame.image for video in videos for frame in list(read_frames(video))[5:100:30]]


@needs_weights
def test_torch_detector_and_its_export_find_the_same_people(
    nano: tuple[Path, Path], nano_detector: YoloxDetector, real_frames: list[np.ndarray]
) -> None:
    in_torch = TorchDetector(*nano)
    found = 0
    for image in real_frames:
        boxes, scores = in_torch(image)
        others, other_scores = nano_detector(image)
        assert others.shape == boxes.shape
        np.testing.assert_allclose(others, boxes, atol=0.5)
        np.testing.assert_allclose(other_scores, scores, atol=1e-3)
        found += len(boxes)
    assert found >= len(real_frames), "there is a person in every frame"


@needs_weights
def test_carried_weights_give_the_people_of_the_official_file(
    nano_detector: YoloxDetector, real_frames: list[np.ndarray]
) -> None:
    official = openvino.Core().compile_model(
        SHARED / "checkpoints" / "yolox_nano.onnx", "CPU", {"INFERENCE_PRECISION_HINT": "f32"}
    )
    for image in real_frames:
        height, width = image.shape[:2]
        scale = 416 / max(height, width)
        letterbox = np.full((416, 416, 3), 114, np.uint8)
        small = cv2.resize(image, (int(width * scale + 0.5), int(height * scale + 0.5)))
        letterbox[: small.shape[0], : small.shape[1]] = small
        (raw,) = official([letterbox.transpose(2, 0, 1)[None].astype(np.float32)])[0]
        person = raw[:, 4] * raw[:, 5]
        boxes, scores = nano_detector(image)
        assert scores.max() == pytest.approx(person.max(), abs=1e-3)
        center = raw[person.argmax()]
        cells = np.concatenate([np.full((416 // s) ** 2, s) for s in (8, 16, 32)])
        rows = np.concatenate([np.arange((416 // s) ** 2) for s in (8, 16, 32)])
        stride, row = cells[person.argmax()], rows[person.argmax()]
        x, y = (
            (center[0] + row % (416 // stride)) * stride / scale,
            (center[1] + row // (416 // stride)) * stride / scale,
        )
        np.testing.assert_allclose((boxes[0, :2] + boxes[0, 2:]) / 2, [x, y], atol=0.5)


@needs_weights
def test_top_down_gives_the_skeletons_of_movenet(
    nano_detector: YoloxDetector, tinypose: CropPoseEstimator, shared_data: Path
) -> None:
    """Another network and another detection of people give the same joints as the embedded default."""
    source, embedded, alike = TopDown(nano_detector, tinypose), MoveNet(), []
    (video,) = shared_data.rglob("fall-07-cam0.mp4")
    for frame in list(read_frames(video))[:60:4]:
        people, others = source.submit(frame.image).result(), embedded.submit(frame.image).result()
        weights = np.sqrt(people.scores[:, None] * others.scores[None])
        alike.append(
            object_keypoint_similarity(people.keypoints, others.keypoints, weights, box_area(people.boxes)).max()
        )
    assert np.median(alike) > 0.85
    assert np.min(alike) > 0.6


@needs_weights
def test_top_down_keeps_a_lying_person_that_the_detector_misses(
    nano_detector: YoloxDetector, tinypose: CropPoseEstimator, shared_data: Path
) -> None:
    """fall-10 ends with the person on the floor, where the detector misses the person in some frames."""
    (video,) = shared_data.rglob("fall-10-cam0.mp4")
    images = [frame.image for frame in read_frames(video)][::3]
    carrying = TopDown(nano_detector, tinypose, TopDownSettings(det_interval=1))
    alone = TopDown(nano_detector, tinypose, TopDownSettings(det_interval=1, max_undetected_frames=0))
    kept, detected = (
        np.array([len(source.submit(image).result()) for image in images[-20:]]) for source in (carrying, alone)
    )
    assert (kept > 0).mean() >= 0.95
    assert (detected > 0).mean() < (kept > 0).mean()
    assert (kept[-10:] == 1).all(), "a person with two tracks in the fall has one again"


@pytest.mark.parametrize(("config", "name"), [(HRNET, "hrnet_w32"), (RTMPOSE, "rtmpose_m")])
@pytest.mark.parametrize("flip", [False, True])
def test_export_pose_network_gives_the_joints_of_mmpose(
    random_weights: Path, tmp_path: Path, rng: np.random.Generator, config: Path, name: str, flip: bool
) -> None:
    text = config.read_text(encoding="utf-8").replace("flip_test=False", f"flip_test={flip}")
    path = tmp_path / config.name
    path.write_text(text, encoding="utf-8")
    checkpoint = random_weights / CHECKPOINTS[name].file_name
    in_torch = TorchPoseEstimator(path, checkpoint)
    live = CropPoseEstimator(export_pose_network(path, checkpoint, tmp_path / "x.onnx"), precision="f32")
    image = rng.integers(0, 255, (360, 480, 3), np.uint8)
    boxes = np.array([[30, 20, 130, 300], [-20, 200, 300, 380], [400, 10, 479, 90]], np.float32)
    keypoints, scores = in_torch(image, boxes)
    others, other_scores = live(image, boxes)
    assert np.ptp(keypoints) > 100, "joints all over the image, or equality would mean little"
    far = np.abs(others - keypoints).max(axis=2) > 0.5
    assert far.mean() < 0.02, "but for a near tie of two peaks"
    np.testing.assert_allclose(other_scores, scores, rtol=1e-3, atol=1e-3)
    assert in_torch(image, boxes[:0])[0].shape == live(image, boxes[:0])[0].shape == (0, 17, 2)


def test_export_pose_network_gives_the_boxes_of_mmdet(
    random_weights: Path, tmp_path: Path, rng: np.random.Generator
) -> None:
    checkpoint = random_weights / CHECKPOINTS["yolox_s"].file_name
    in_torch = TorchDetector(YOLOX, checkpoint)
    live = YoloxDetector(export_pose_network(YOLOX, checkpoint, tmp_path / "x.onnx"), precision="f32")
    for shape in ((480, 640, 3), (300, 200, 3)):
        image = rng.integers(0, 255, shape, np.uint8)
        boxes, scores = in_torch(image)
        others, other_scores = live(image)
        assert len(boxes) > 0
        assert len(others) == len(boxes)
        np.testing.assert_allclose(np.sort(other_scores), np.sort(scores), atol=1e-3)
        distances = np.abs(others[:, None] - boxes[None]).max(axis=2).min(axis=1)
        assert distances.max() < 0.5


@pytest.mark.parametrize(("config", "name"), [(YOLOX, "yolox_s"), (HRNET, "hrnet_w32"), (RTMPOSE, "rtmpose_m")])
def test_build_network_loads_older_layouts_but_no_missing_or_foreign_weight(
    random_weights: Path, tmp_path: Path, config: Path, name: str
) -> None:
    weights = torch.load(random_weights / CHECKPOINTS[name].file_name, weights_only=True)["state_dict"]
    older = {key.replace("head.final_layer", "keypoint_head.final_layer"): value for key, value in weights.items()}
    if name == "yolox_s":
        older |= {f"ema_{key.replace('.', '_')}": value for key, value in weights.items()}
    meta = {"dataset_meta": {"palette": np.zeros((17, 3), np.uint8), "sigmas": np.zeros(17, np.float32)}, "epoch": 1}
    torch.save({"state_dict": older, "meta": meta}, tmp_path / "older.pth")
    network = build_network(config, tmp_path / "older.pth")
    key = next(reversed(weights))
    torch.testing.assert_close(network.state_dict()[key], weights[key])
    torch.save({k: v for k, v in weights.items() if k != key}, tmp_path / "less.pth")
    torch.save({**weights, "more": torch.zeros(1)}, tmp_path / "more.pth")
    for file in ("less.pth", "more.pth"):
        with pytest.raises(FalldetError, match=f"{file} doesn't fit .*{config.name}"):
            build_network(config, tmp_path / file)


def test_build_network_runs_no_code_of_a_checkpoint(tmp_path: Path) -> None:
    mark = tmp_path / "was_run"

    class Evil:
        def __reduce__(self) -> tuple[Callable[..., object], tuple[str]]:
            return os.mkdir, (str(mark),)

    torch.save({"state_dict": {"a": Evil()}}, tmp_path / "evil.pth")
    (tmp_path / "plain.pth").write_bytes(pickle.dumps(Evil()))
    for name in ("evil.pth", "plain.pth"):
        with pytest.raises(FalldetError, match=f"{name} is not a checkpoint"):
            build_network(HRNET, tmp_path / name)
    assert not mark.exists()


def test_scope_lets_three_libraries_run_in_any_order(random_weights: Path, rng: np.random.Generator) -> None:
    image, boxes = rng.integers(0, 255, (240, 320, 3), np.uint8), np.array([[50, 50, 120, 200]], np.float32)
    makers: dict[str, Callable[[], object]] = {
        "det": lambda: TorchDetector(YOLOX, random_weights / CHECKPOINTS["yolox_s"].file_name)(image),
        "pose": lambda: TorchPoseEstimator(HRNET, random_weights / CHECKPOINTS["hrnet_w32"].file_name)(image, boxes),
        "action": lambda: TorchRecognizer(CONFIGS / "stgcn_fall_best.py", ROOT / "checkpoints" / "stgcn_fall.pth")(
            [a_window(rng)]
        ),
    }
    before = DefaultScope.get_current_instance()
    for order in (("det", "pose", "action"), ("action", "pose", "det"), ("pose", "det", "pose")):
        for name in order:
            assert makers[name]() is not None
    assert DefaultScope.get_current_instance() is before or (
        before is not None and DefaultScope.get_current_instance().scope_name == before.scope_name
    )


def a_window(rng: np.random.Generator, frames: int = 48) -> Window:
    keypoints = np.cumsum(rng.normal(0, 2, (frames, 17, 2)), axis=0) + rng.uniform(100, 300, (17, 2))
    scores = rng.uniform(0, 1, (frames, 17)) * (rng.random((frames, 17)) > 0.1)
    times = np.arange(frames) / 24
    return Window(1, 0.0, 2.0, times, keypoints.astype(np.float32), scores.astype(np.float32), (360, 480))
