"""Export of the baseline pipeline's networks as ONNX files that hold all steps from the image to the decoding.

Color order, mean and deviation, the choice of the class "person" and the flip test are part of the graph, so that its
input is a plain image. The parameters of the decoding are in the file's metadata.
"""

from __future__ import annotations

from pathlib import Path

import torch
from mmengine.config import Config
from torch import Tensor, nn

from falldet.errors import FalldetError
from falldet.io.files import atomic_write
from falldet.openmmlab.config import as_config, name_of
from falldet.openmmlab.inference import build_network, library_of, scope
from falldet.openmmlab.onnx_file import as_onnx, check_parity
from falldet.skeleton import FLIP_INDICES

STRIDE = 32
TOLERANCE = 1e-3
"""Largest difference between the outputs of the exported and the original network, relative to the largest output."""


def export_pose_network(config: Config | str | Path, checkpoint: str | Path, onnx_path: str | Path) -> Path:
    """Write the detector or pose estimator of a config as `onnx_path` and return it.

    A detector maps `image` (1, H, W, 3) uint8 BGR, letterboxed, to `boxes` (A, 4) x0 y0 x1 y1 in pixels of its input
    and `scores` (A,), those of the class "person", 0 where another class is likelier. A pose estimator maps `crops`
    (N, H, W, 3) uint8 BGR to `heatmaps` (N, K, h, w), or to `x` (N, K, W') and `y` (N, K, H') where its codec is SimCC.

    Metadata: `falldet.kind` ("detector" or "pose"); `falldet.score_threshold` and `falldet.nms_iou` for a detector;
    `falldet.codec` ("heatmap" or "simcc") and `falldet.split_ratio` for a pose estimator.

    Args:
        config: such as configs/yolox_s_person.py or configs/hrnet_w32_coco.py; a file runs as code.
        checkpoint: its weights.
        onnx_path: the file to write.

    Raises:
        FalldetError: config and checkpoint don't match, `falldet.pose` can't decode the outputs, or the outputs in
            OpenVINO differ from the network's.
    """
    config = as_config(config)
    network = build_network(config, checkpoint)
    if library_of(config) == "mmdet":
        graph, example, names, metadata = _detector(network, config)
    else:
        graph, example, names, metadata = _pose_estimator(network, config)
    graph, metadata = graph.eval(), {**metadata, "config": name_of(config)}
    content = as_onnx(graph, example, names, names[0] == "crops", metadata)
    check_parity(graph, content, [example], TOLERANCE)
    with atomic_write(Path(onnx_path), binary=True) as stream:
        stream.write(content)
    return Path(onnx_path)


Exported = tuple[nn.Module, Tensor, list[str], dict[str, str]]
"""A graph, an example of its input, the names of input and outputs, and the metadata."""


def _detector(network: nn.Module, config: Config) -> Exported:
    test = config.model.test_cfg
    sides = {step["type"]: step for step in config.test_pipeline}
    width, height = sides["Resize"]["scale"]
    if width != height or width % STRIDE or test.nms["type"] != "nms" or config.model.bbox_head.num_classes < 1:
        raise FalldetError(
            f"{config.filename}: falldet takes square inputs, a multiple of {STRIDE} pixels, and plain nms; change the "
            "config, or use --cfg-options topdown.engine=torch"
        )
    metadata = {
        "kind": "detector",
        "score_threshold": f"{float(test.score_thr):g}",
        "nms_iou": f"{float(test.nms['iou_threshold']):g}",
    }
    graph = _People(network, int(config.get("person_class", 0)), (height, width))
    return graph, _noise((1, height, width, 3)), ["image", "boxes", "scores"], metadata


def _pose_estimator(network: nn.Module, config: Config) -> Exported:
    codec = config.model.head.decoder
    width, height = codec["input_size"]
    heatmap = codec["type"] == "MSRAHeatmap" and not codec.get("unbiased", False)
    simcc = codec["type"] == "SimCCLabel" and not codec.get("use_dark", False)
    if not (heatmap or simcc):
        raise FalldetError(
            f"{config.filename}: falldet decodes MSRAHeatmap without `unbiased` and SimCCLabel without "
            f"`use_dark`, not this {codec['type']}; use --cfg-options topdown.engine=torch"
        )
    test = config.model.get("test_cfg", {})
    graph = _Joints(network, bool(test.get("flip_test", False)), bool(test.get("shift_heatmap", False)))
    metadata = {"kind": "pose", "codec": "heatmap" if heatmap else "simcc"}
    if simcc:
        metadata["split_ratio"] = f"{float(codec['simcc_split_ratio']):g}"
    outputs = ["heatmaps"] if heatmap else ["x", "y"]
    return graph, _noise((2, height, width, 3)), ["crops", *outputs], metadata


def _noise(shape: tuple[int, ...]) -> Tensor:
    return torch.randint(0, 256, shape, dtype=torch.uint8, generator=torch.Generator().manual_seed(0))


class _People(nn.Module):
    """A YOLOX with its decoding, for one class (source: mmdet/models/dense_heads/yolox_head.py)."""

    def __init__(self, network: nn.Module, person_class: int, input_hw: tuple[int, int]) -> None:
        super().__init__()
        self.network, self.person_class = network, person_class
        with scope("mmdet"):
            sizes = [(input_hw[0] // stride, input_hw[1] // stride) for stride in network.bbox_head.strides]
            priors = network.bbox_head.prior_generator.grid_priors(sizes, device="cpu", with_stride=True)
        self.register_buffer("priors", torch.cat(priors)[:, :3])  # (A, x y stride), in pixels

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor]:
        """Return boxes (A, 4) and scores (A,) of the image (1, H, W, 3)."""
        features = self.network.extract_feat(image.permute(0, 3, 1, 2).float())
        levels = self.network.bbox_head(features)  # classes, boxes, objectness; each one (1, C, h, w) a level
        classes, offsets, objectness = (
            torch.cat([level.permute(0, 2, 3, 1).reshape(-1, level.shape[1]) for level in kind]) for kind in levels
        )
        center = offsets[:, :2] * self.priors[:, 2:] + self.priors[:, :2]
        half = offsets[:, 2:].exp() * self.priors[:, 2:] / 2
        probabilities = classes.sigmoid()
        person = probabilities[:, self.person_class]
        scores = person * objectness[:, 0].sigmoid() * (person >= probabilities.max(dim=1).values)
        return torch.cat([center - half, center + half], dim=1), scores


class _Joints(nn.Module):
    """A top-down pose network with its preprocessing and an optional flip test: the mean with the mirrored crop."""

    def __init__(self, network: nn.Module, flip_test: bool, shift_heatmap: bool) -> None:
        super().__init__()
        self.network, self.flip_test, self.shift_heatmap = network, flip_test, shift_heatmap
        preparation = network.data_preprocessor
        self.bgr_to_rgb = bool(getattr(preparation, "_channel_conversion", False))
        self.register_buffer("mean", preparation.mean.clone())
        self.register_buffer("deviation", preparation.std.clone())

    def forward(self, crops: Tensor) -> tuple[Tensor, ...]:
        """Return the head's outputs for crops (N, H, W, 3): heatmaps, or x and y."""
        pixels = crops.permute(0, 3, 1, 2).float()
        if self.bgr_to_rgb:
            pixels = pixels.flip(1)
        pixels = (pixels - self.mean) / self.deviation
        outputs = self._infer(pixels)
        if not self.flip_test:
            return outputs
        mirrored = self._infer(pixels.flip(3))
        return tuple((a + self._unflip(b, i)) * 0.5 for i, (a, b) in enumerate(zip(outputs, mirrored, strict=True)))

    def _infer(self, pixels: Tensor) -> tuple[Tensor, ...]:
        outputs = self.network.head(self.network.extract_feat(pixels))
        return outputs if isinstance(outputs, tuple) else (outputs,)

    def _unflip(self, output: Tensor, index: int) -> Tensor:
        """Undo the mirroring of a head's output: heatmaps (N, K, h, w), x (N, K, W') or, at index 1, y (N, K, H')."""
        output = output[:, list(FLIP_INDICES)]
        if index == 1:
            return output
        output = output.flip(-1)
        if self.shift_heatmap and output.dim() == 4:
            output = torch.cat([output[..., :1], output[..., :-1]], dim=-1)
        return output
