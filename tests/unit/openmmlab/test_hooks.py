"""The training history: the mean loss of all ranks, and the error of a loss that is not finite."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

pytest.importorskip("torch", reason="needs torch and the OpenMMLab packages (make install)")
pytest.importorskip("mmengine", reason="needs torch and the OpenMMLab packages (make install)")

import torch

import falldet.openmmlab  # noqa: F401  (makes the wheels importable)
from falldet.errors import FalldetError
from falldet.openmmlab.hooks import CHECK_INTERVAL, TrainingHistoryHook, best_record, mean_over_ranks

pytestmark = pytest.mark.openmmlab

ROOT = Path(__file__).resolve().parents[3]


def runner_in(work_dir: Path) -> Any:
    """The parts of a runner that the hook reads, in a run without validation."""
    return SimpleNamespace(
        work_dir=str(work_dir),
        epoch=0,
        max_epochs=1,
        seed=0,
        hooks=[],
        val_loop=None,
        cfg=SimpleNamespace(filename="stgcn_fall.py"),
        optim_wrapper=SimpleNamespace(get_lr=lambda: {"lr": [0.1]}),
    )


def run_epoch(hook: TrainingHistoryHook, runner: Any, losses: list[float]) -> None:
    hook.before_train_epoch(runner)
    for index, loss in enumerate(losses):
        hook.after_train_iter(runner, index, outputs={"loss": torch.tensor(loss, requires_grad=True)})
    hook.after_train_epoch(runner)


def train_loss(work_dir: Path) -> float:
    return json.loads((work_dir / "metrics.json").read_text(encoding="utf-8"))["last"]["train_loss"]


def test_training_history_hook_writes_the_mean_loss_of_an_epoch(tmp_path: Path) -> None:
    hook = TrainingHistoryHook()
    run_epoch(hook, runner_in(tmp_path), [0.5, 0.25, 1.5])
    assert train_loss(tmp_path) == 0.75
    run_epoch(hook, runner_in(tmp_path), [0.5])
    assert [record["train_loss"] for record in hook.history] == [0.75, 0.5]


def test_training_history_hook_writes_the_mean_loss_of_two_ranks(tmp_path: Path) -> None:
    code = (
        "import sys, torch\n"
        "from pathlib import Path\n"
        "from test_hooks import run_epoch, runner_in\n"
        "from falldet.openmmlab.hooks import TrainingHistoryHook\n"
        "rank, folder = int(sys.argv[1]), Path(sys.argv[2])\n"
        "torch.distributed.init_process_group('gloo', f'file://{folder}/store', rank=rank, world_size=2)\n"
        "run_epoch(TrainingHistoryHook(), runner_in(folder), [[1.0, 2.0], [3.0, 6.0]][rank])\n"
        "torch.distributed.destroy_process_group()\n"
    )
    paths = f"import sys; sys.path[:0] = [{str(ROOT)!r}, {str(Path(__file__).parent)!r}]\n"
    command = [sys.executable, "-c", paths + code]
    ranks = [
        subprocess.Popen([*command, str(rank), str(tmp_path)], stderr=subprocess.PIPE, text=True) for rank in (0, 1)
    ]
    for process in ranks:
        assert process.wait(timeout=120) == 0, process.communicate()[1]
    assert train_loss(tmp_path) == 3.0


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
@pytest.mark.parametrize("batches", [3, CHECK_INTERVAL + 1])
def test_training_history_hook_refuses_a_loss_that_is_not_finite(tmp_path: Path, bad: float, batches: int) -> None:
    losses = [0.5] * batches
    losses[1] = bad
    with pytest.raises(FalldetError, match=f"the loss became {bad} in epoch 1; lower optim_wrapper.optimizer.lr"):
        run_epoch(TrainingHistoryHook(), runner_in(tmp_path), losses)
    assert not (tmp_path / "metrics.json").exists()


def test_training_history_hook_reads_the_loss_from_the_device_once_an_interval(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    reads: list[int] = []
    to_float = torch.Tensor.__float__
    monkeypatch.setattr(torch.Tensor, "__float__", lambda tensor: reads.append(1) or to_float(tensor))
    hook, runner = TrainingHistoryHook(), runner_in(tmp_path)
    hook.before_train_epoch(runner)
    for index in range(2 * CHECK_INTERVAL):
        hook.after_train_iter(runner, index, outputs={"loss": torch.tensor(1.0)})
    assert len(reads) == 2


def test_mean_over_ranks_without_values_is_0() -> None:
    assert mean_over_ranks(0.0, 0) == 0.0


def test_best_record_is_the_first_of_the_best() -> None:
    history = [{"epoch": epoch, "val": val} for epoch, val in enumerate([None, {"f1": 0.5}, {"f1": None}, {"f1": 0.5}])]
    assert best_record(history, "f1", "greater") is history[1]
    assert best_record(history[:1], "f1", "greater") is None
