"""checked_config: a config of others is built from its literals; nothing in it runs, whatever its name or content."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Literal

import pytest

pytest.importorskip("torch", reason="needs torch and the OpenMMLab packages (make install)")
pytest.importorskip("mmengine", reason="needs torch and the OpenMMLab packages (make install)")

import torch

import falldet.openmmlab  # noqa: F401  (makes the wheels importable)
from falldet.build import build_pose_source, build_recognizer
from falldet.errors import FalldetError
from falldet.openmmlab.checked_config import checked_config, config_beside
from falldet.openmmlab.config import load_config
from falldet.openmmlab.recognizer import build_model
from falldet.pose.movenet import MoveNetSettings
from falldet.pose.source import PoseSettings
from falldet.pose.topdown import TopDownSettings
from falldet.stages.recognizer import RecognizerSettings

pytestmark = pytest.mark.openmmlab

ROOT = Path(__file__).resolve().parents[3]
SMALL = ["model.backbone.channels=8", "model.cls_head.in_channels=24"]


@pytest.fixture
def work_dir(tmp_path: Path) -> Path:
    """A work dir with the config and a checkpoint of a small recognizer, as a training run leaves it."""
    config = load_config(ROOT / "configs" / "stgcn_fall_best.py", SMALL)
    folder = tmp_path / "run"
    folder.mkdir()
    (folder / "stgcn_fall_best.py").write_text(config.pretty_text, encoding="utf-8")
    torch.save(build_model(config).state_dict(), folder / "epoch_1.pth")
    return folder


def test_checked_config_equals_the_config_of_the_run(work_dir: Path) -> None:
    checked, run = config_beside(work_dir / "epoch_1.pth"), load_config(work_dir / "stgcn_fall_best.py")
    for key in ("model", "train_dataloader", "val_dataloader", "test_dataloader"):
        assert str(checked[key]).replace("(", "[").replace(")", "]") == str(run[key]).replace("(", "[").replace(
            ")", "]"
        )
    assert build_model(checked).state_dict().keys() == build_model(run).state_dict().keys()


GCN = "model = dict(type='RecognizerGCN')\n"


@pytest.mark.parametrize(
    ("name", "line"),
    [
        ("run.py", "note = '{{$FALLDET_HOSTILE:}}'"),
        ("run.py", "note = '{{$NOT_SET:\\' + str(open(\"MARK\", \"w\")) + \\'}}'"),
        ("run.py", "x = '{{ $NOT_SET:1\\'; open(\"MARK\", \"w\"); y = \\'1 }}'"),
        ("a' + str(__import__('os').mkdir('mark')) + '.py", "note = '{{fileBasename}}'"),
        ("'; import os; os.mkdir('mark'); y = '.py", "note = '{{ fileBasenameNoExtension }}'"),
        ("run.py", "note = '{{_base_.x}}'"),
        ("run.py", "# -*- coding: utf-7 -*-\nnote = '+AA-'"),
    ],
)
def test_config_beside_never_runs_a_template(
    work_dir: Path, monkeypatch: pytest.MonkeyPatch, name: str, line: str
) -> None:
    hostile_config(work_dir, monkeypatch, name, line)
    assert build_model(config_beside(work_dir / "epoch_1.pth"))
    assert "mark" not in os.listdir(work_dir)


@pytest.mark.parametrize("engine", ["openvino", "torch"])
def test_build_recognizer_never_runs_a_template(
    work_dir: Path, monkeypatch: pytest.MonkeyPatch, engine: Literal["openvino", "torch"]
) -> None:
    hostile_config(work_dir, monkeypatch, "'; import os; os.mkdir('mark'); y = '.py", "note = '{{fileBasename}}'")
    recognizer = build_recognizer(RecognizerSettings(engine, str(work_dir / "epoch_1.pth")))
    assert recognizer.normalization == "person_causal"
    assert "mark" not in os.listdir(work_dir)


def hostile_config(work_dir: Path, monkeypatch: pytest.MonkeyPatch, name: str, line: str) -> None:
    """Rename the work dir's config and add a line that makes the file or folder `mark` where it runs."""
    monkeypatch.chdir(work_dir)
    monkeypatch.setenv("FALLDET_CACHE", str(work_dir / "cache"))
    monkeypatch.setenv("FALLDET_HOSTILE", "'; import os; os.mkdir('mark'); y = '")
    text = (work_dir / "stgcn_fall_best.py").read_text(encoding="utf-8")
    (work_dir / "stgcn_fall_best.py").unlink()
    (work_dir / name).write_text(f"{text}{line.replace('MARK', 'mark')}\n", encoding="utf-8")


@pytest.mark.parametrize(
    "content",
    [
        "import os\nos.system('touch marker')\n",
        "_base_ = 'other.py'\n",
        "_base_ = ['mmdet::yolox/yolox_s_8xb8-300e_coco.py']\n",
        "_base_ = 'mmdet::../../other.py'\n",
        "model = dict(type='subprocess.Popen', args=['touch', 'marker'])\n",
        "model = dict(type='antigravity')\n",
        "model = dict(type='RecognizerGCN', backbone=dict(type='this'))\n",
        "model = dict(type='RecognizerGCN', backbone=dict(type='CLIPSimilarity'))\n",
        "model = dict(type='RecognizerGCN', backbone=dict(type='STGCN', _scope_='antigravity'))\n",
        "model = dict(type='RecognizerGCN', backbone=dict(type='STGCN', num_stages=1000000000))\n",
        GCN + "train_dataloader = dict(dataset=dict(pipeline=[dict(type='antigravity')]))\n",
        GCN + "test_dataloader = dict(dataset=dict(pipeline=[dict(type='DecordInit')]))\n",
        "model = 3\n",
        "x = 1\n",
        "custom_imports = dict(imports=['antigravity'])\n",
        "custom_imports = dict(imports='antigravity')\n",
        "custom_imports = 'antigravity'\n",
        "filename = 'x'\nmodel = dict(type='RecognizerGCN')\n",
        "x = '" + "a" * (2 << 20) + "'\n",
        "x = " + "[" * 150 + "]" * 150 + "\n",
        "x = b'" + "\\x00" * 20 + "'\0\n",
    ],
)
def test_config_beside_refuses_what_could_run_or_take_memory(tmp_path: Path, content: str) -> None:
    (tmp_path / "run.py").write_text(content)
    started = time.monotonic()
    with pytest.raises(FalldetError) as caught:
        config_beside(tmp_path / "epoch_1.pth")
    assert len(str(caught.value)) < 500 + len(str(tmp_path))
    assert time.monotonic() - started < 20


def test_checked_config_of_a_pose_network_never_runs_a_template(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("mmdet")
    mark = tmp_path / "mark"
    config = tmp_path / "own_detector.py"
    config.write_text(
        "_base_ = 'mmdet::yolox/yolox_tiny_8xb8-300e_coco.py'\nload_from = 'own.pth'\n"
        f"note = '{{{{$NOT_SET:\\' + str(open(\"{mark}\", \"w\")) + \\'}}}}'\n"
    )
    torch.save({}, tmp_path / "own.pth")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("FALLDET_CACHE", str(tmp_path / "cache"))
    with pytest.raises(FalldetError, match="doesn't fit"):
        build_pose_source(PoseSettings(f"{config}+{config}"), MoveNetSettings(), TopDownSettings())
    with pytest.raises(FalldetError, match="doesn't fit"):
        build_pose_source(PoseSettings(f"{config}+{config}"), MoveNetSettings(), TopDownSettings(engine="torch"))
    assert not mark.exists()


def test_config_beside_tells_no_config_or_two(tmp_path: Path) -> None:
    with pytest.raises(FalldetError, match="no config beside"):
        config_beside(tmp_path / "epoch_1.pth")
    for name in ("a.py", "b.py"):
        (tmp_path / name).write_text("x = 1\n")
    with pytest.raises(FalldetError, match=r"2 configs \(a.py, b.py\)"):
        config_beside(tmp_path / "epoch_1.pth")


@pytest.mark.parametrize("name", ["stgcn_fall", "stgcn_fall_best", "yolox_s_person", "hrnet_w32_coco"])
def test_checked_config_takes_the_shipped_configs(name: str) -> None:
    assert checked_config(ROOT / "configs" / f"{name}.py").model.type
