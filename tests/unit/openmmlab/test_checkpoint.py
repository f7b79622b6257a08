"""Checkpoints read as data: the contents allowed, and those refused."""

from __future__ import annotations

import os
import pickle
from collections import OrderedDict
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("torch", reason="needs torch and the OpenMMLab packages (make install)")
pytest.importorskip("mmengine", reason="needs torch and the OpenMMLab packages (make install)")

import torch
from mmengine.logging import HistoryBuffer, MessageHub
from mmengine.runner import CheckpointLoader

import falldet.openmmlab  # noqa: F401
from falldet.errors import FalldetError
from falldet.openmmlab.checkpoint import load_checkpoint

pytestmark = pytest.mark.openmmlab


class Calls:
    """Pickles as a call of `function` with `arguments`."""

    def __init__(self, function: Any, *arguments: Any) -> None:
        self.call = (function, arguments)

    def __reduce__(self) -> Any:
        return self.call


def evil(marker: Path) -> dict[str, Any]:
    """Contents that would make a file when unpickled carelessly, in the ways a pickle can be made to do it."""
    return {
        "system": Calls(os.system, f"touch {marker}"),
        "open": Calls(open, str(marker), "w"),
        "eval": Calls(eval, f"open({str(marker)!r}, 'w')"),
        "getattr": Calls(getattr, "text", "format"),
        "getattr of a buffer": Calls(getattr, HistoryBuffer, "__init__"),
        "globals by getattr": Calls(getattr, HistoryBuffer.mean, "__globals__"),
    }


KINDS = list(evil(Path("x")))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("legacy", [False, True])
def test_load_checkpoint_runs_no_code_of_a_file(tmp_path: Path, kind: str, legacy: bool) -> None:
    marker, path = tmp_path / "marker", tmp_path / "evil.pth"
    torch.save({"state_dict": evil(marker)[kind]}, path, _use_new_zipfile_serialization=not legacy)
    for load in (load_checkpoint, CheckpointLoader.load_checkpoint):
        with pytest.raises(FalldetError, match=r"evil\.pth is not a checkpoint"):
            load(str(path))
    assert not marker.exists()


def test_load_checkpoint_refuses_a_plain_pickle(tmp_path: Path) -> None:
    marker, path = tmp_path / "marker", tmp_path / "evil.pth"
    path.write_bytes(pickle.dumps(evil(marker)["system"]))
    with pytest.raises(FalldetError, match="not a checkpoint"):
        load_checkpoint(path)
    assert not marker.exists()


@pytest.mark.parametrize("content", [b"", b"weights", b"PK\x03\x04 half a zip"])
def test_load_checkpoint_refuses_other_files_in_one_sentence(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "broken.pth"
    path.write_bytes(content)
    with pytest.raises(FalldetError, match=r"broken\.pth") as caught:
        load_checkpoint(path)
    assert "\n" not in str(caught.value)


def test_load_checkpoint_refuses_a_missing_file_and_a_tensor(tmp_path: Path) -> None:
    with pytest.raises(FalldetError, match="no checkpoint"):
        load_checkpoint(tmp_path / "none.pth")
    torch.save(torch.zeros(2), tmp_path / "tensor.pth")
    with pytest.raises(FalldetError, match="holds a Tensor"):
        load_checkpoint(tmp_path / "tensor.pth")


@pytest.mark.parametrize("name", ["https://example.org/x.pth", "torchvision://resnet50", "s3://bucket/x.pth"])
def test_install_refuses_remote_files(name: str) -> None:
    with pytest.raises(FalldetError, match="not a local file"):
        CheckpointLoader.load_checkpoint(name)


def test_install_loads_weights_and_histories_of_a_run(tmp_path: Path) -> None:
    hub = MessageHub.get_instance("test_openmmlab_checkpoint")
    for loss in (3.0, 1.0):
        hub.update_scalar("train/loss", loss)
    hub.update_info("epoch", 2)
    weights = OrderedDict(layer=torch.arange(3.0))
    torch.save({"state_dict": weights, "message_hub": hub.state_dict()}, tmp_path / "run.pth")
    loaded = CheckpointLoader.load_checkpoint(str(tmp_path / "run.pth"))
    assert torch.equal(loaded["state_dict"]["layer"], weights["layer"])
    assert loaded["message_hub"]["log_scalars"]["train/loss"].mean() == 2.0
