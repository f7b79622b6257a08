"""Training, testing and exporting, end to end on a made-up data set and a narrow network."""

from __future__ import annotations

import hashlib
import json
import os
import pickle
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

pytest.importorskip("torch", reason="needs torch and the OpenMMLab packages (make install)")
pytest.importorskip("mmengine", reason="needs torch and the OpenMMLab packages (make install)")
pytestmark = pytest.mark.openmmlab

import torch  # noqa: E402

from falldet.data.annotations import dump_annotations  # noqa: E402
from falldet.errors import FalldetError  # noqa: E402
from falldet.openmmlab.checked_config import config_beside  # noqa: E402
from falldet.openmmlab.checkpoint import load_checkpoint  # noqa: E402
from falldet.openmmlab.config import load_config  # noqa: E402
from falldet.openmmlab.export import export_recognizer  # noqa: E402
from falldet.openmmlab.hooks import TrainingHistoryHook  # noqa: E402
from falldet.openmmlab.recognizer import build_recognizer  # noqa: E402
from falldet.openmmlab.testing import evaluate_checkpoint, table  # noqa: E402
from falldet.openmmlab.training import train  # noqa: E402
from falldet.stages.recognizer import Recognizer  # noqa: E402

ROOT = Path(__file__).resolve().parents[2]
CONFIG = ROOT / "configs" / "stgcn_fall.py"
BEST = CONFIG.with_name("stgcn_fall_best.py")
NARROW = ("model.backbone.base_channels=8", "model.cls_head.in_channels=32", "optim_wrapper.optimizer.lr=0.05")
PLOTS = ("learning_rate.png", "loss.png", "confusion_matrix.png")


def random_clips(rng: np.random.Generator, count: int) -> dict[str, Any]:
    """Clips of a swaying person; in every second one the hips, and all the rest, go down."""
    clips, split = [], {"train": [], "val": [], "test": []}
    for number in range(count):
        frames, label = int(rng.integers(30, 80)), number % 2
        body = rng.normal((320, 150), 25, (17, 2))
        keypoints = body + rng.normal(0, 2, (1, frames, 17, 2))
        keypoints[..., 1] += np.linspace(0, 150 * label, frames)[None, :, None]
        scores = np.where(rng.random((1, frames, 17)) < 0.1, 0, 0.9)
        clips.append(
            {
                "frame_dir": f"clip_{number}",
                "label": label,
                "img_shape": (480, 640),
                "original_shape": (480, 640),
                "total_frames": frames,
                "keypoint": (keypoints * (scores > 0)[..., None]).astype(np.float32),
                "keypoint_score": scores.astype(np.float32),
            }
        )
        split[("train", "train", "val", "test")[number // 2 % 4]].append(f"clip_{number}")
    return {"split": split, "annotations": clips}


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)
    torch.use_deterministic_algorithms(False)


@pytest.fixture(scope="module")
def annotation_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("data") / "falls.pkl"
    dump_annotations(random_clips(np.random.default_rng(1), 48), path)
    return path


def run(annotation_file: Path, work_dir: Path, epochs: int, **settings: Any) -> Path:
    overrides = (*NARROW, f"train_cfg.max_epochs={epochs}")
    return train(CONFIG, work_dir=work_dir, overrides=overrides, ann_files=[str(annotation_file)], **settings)


@pytest.fixture(scope="module")
def trained(annotation_file: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The work dir of a run of two epochs."""
    return run(annotation_file, tmp_path_factory.mktemp("trained") / "work", epochs=2)


def metrics(work_dir: Path) -> dict[str, Any]:
    return json.loads((work_dir / "metrics.json").read_text(encoding="utf-8"))


def weights_hash(checkpoint: Path) -> str:
    digest = hashlib.sha256()
    for name, value in load_checkpoint(checkpoint)["state_dict"].items():
        digest.update(name.encode() + value.numpy().tobytes())
    return digest.hexdigest()


def test_train_leaves_checkpoints_plots_and_metrics(trained: Path) -> None:
    names = {path.name for path in trained.iterdir()}
    assert {"epoch_1.pth", "epoch_2.pth", "stgcn_fall.py", "val_scores.npz", *PLOTS} <= names
    assert [name for name in names if name.startswith("best_fall_loss_epoch_")]
    for plot in PLOTS:
        assert cv2.imread(str(trained / plot)) is not None
    written = metrics(trained)
    assert [record["epoch"] for record in written["history"]] == [1, 2]
    assert written["last"] == written["history"][-1]
    assert written["best"]["val"]["loss"] == min(record["val"]["loss"] for record in written["history"])
    assert (written["config"], written["seed"]) == ("stgcn_fall.py", 0)
    assert sum(written["last"]["val"][count] for count in ("tp", "fp", "tn", "fn")) == 12
    assert written["versions"]["torch"] == torch.__version__


def test_train_gives_the_same_weights_with_the_same_seed(trained: Path, annotation_file: Path, tmp_path: Path) -> None:
    again = run(annotation_file, tmp_path / "again", epochs=1)
    other = run(annotation_file, tmp_path / "other", epochs=1, seed=7)
    assert weights_hash(again / "epoch_1.pth") == weights_hash(trained / "epoch_1.pth")
    assert weights_hash(other / "epoch_1.pth") != weights_hash(trained / "epoch_1.pth")


def test_train_resumes_an_interrupted_run(
    annotation_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stop_in_epoch_2(hook: TrainingHistoryHook, runner: Any, *args: Any, **kwargs: Any) -> None:
        if runner.epoch == 1:
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(TrainingHistoryHook, "after_train_iter", stop_in_epoch_2)
        with pytest.raises(KeyboardInterrupt):
            run(annotation_file, tmp_path, epochs=2)
    first = metrics(tmp_path)
    assert [record["epoch"] for record in first["history"]] == [1]
    first["history"][0]["val"]["loss"] = 0.0  # as if the first epoch had been perfect
    (tmp_path / "metrics.json").write_text(json.dumps(first))
    run(annotation_file, tmp_path, epochs=2, resume=True)
    resumed = metrics(tmp_path)
    assert [record["epoch"] for record in resumed["history"]] == [1, 2]
    assert resumed["history"][0]["seconds"] == first["history"][0]["seconds"]
    assert resumed["best"]["epoch"] == 1
    assert [path.name for path in tmp_path.glob("best_*.pth")] == ["best_fall_loss_epoch_1.pth"]


@pytest.mark.slow
def test_train_in_two_processes(annotation_file: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    command += [str(ROOT / "tools" / "train.py"), str(CONFIG), "--launcher", "pytorch", "--work-dir", str(tmp_path)]
    command += ["--ann-file", str(annotation_file), "--cfg-options", *NARROW, "train_cfg.max_epochs=1"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    assert done.returncode == 0, done.stderr
    assert done.stderr.count("epoch 1/1") == 1
    assert sum(metrics(tmp_path)["last"]["val"][count] for count in ("tp", "fp", "tn", "fn")) == 12


def test_train_tells_when_there_is_nothing_to_resume(annotation_file: Path, tmp_path: Path) -> None:
    with pytest.raises(FalldetError, match="nothing to resume"):
        run(annotation_file, tmp_path / "new", epochs=1, resume=True)


def test_train_refuses_to_resume_an_evil_checkpoint(annotation_file: Path, tmp_path: Path) -> None:
    class Evil:
        def __reduce__(self) -> Any:
            return os.system, (f"touch {tmp_path / 'marker'}",)

    torch.save({"meta": Evil(), "state_dict": {}}, tmp_path / "epoch_1.pth")
    (tmp_path / "last_checkpoint").write_text(str(tmp_path / "epoch_1.pth"))
    with pytest.raises(FalldetError, match="not a checkpoint that can be loaded safely"):
        run(annotation_file, tmp_path, epochs=2, resume=True)
    assert not (tmp_path / "marker").exists()


@pytest.mark.parametrize(
    ("override", "complaint"),
    [
        ("train_cfg.max_epochs", "takes key=value"),
        ("max_epoch=2", "unknown setting max_epoch"),
        ("train_dataloder.batch_size=2", "did you mean 'train_dataloader'"),
        ("param_scheduler.3.gamma=0.5", "unknown setting param_scheduler.3.gamma"),
        ("ann_file=x.pkl", "--ann-file"),
    ],
)
def test_load_config_tells_a_wrong_override(override: str, complaint: str) -> None:
    with pytest.raises(FalldetError) as caught:
        load_config(CONFIG, [override])
    assert complaint in str(caught.value)


def test_load_config_overrides_groups_and_list_elements() -> None:
    config = load_config(CONFIG, ["param_scheduler.0.gamma=0.5", "train_cfg.max_epochs=3"], ann_files=["x.pkl"])
    assert config.param_scheduler[0].gamma == 0.5
    assert config.train_cfg.max_epochs == 3
    assert all(config[f"{split}_dataloader"].dataset.ann_file == ["x.pkl"] for split in ("train", "val", "test"))


def test_load_config_trains_on_more_annotation_files_and_tests_on_none_of_them() -> None:
    config = load_config(BEST, more_ann_files=["hard.pkl"])
    assert config.train_dataloader.dataset.ann_file == ["data/falls.pkl", "hard.pkl"]
    assert config.val_dataloader.dataset.ann_file == config.test_dataloader.dataset.ann_file == "data/falls.pkl"


def test_load_config_takes_annotation_files_of_a_run_without_validation() -> None:
    none = [f"{name}=None" for name in ("val_dataloader", "val_cfg", "val_evaluator")]
    config = load_config(BEST, none, ann_files=["x.pkl"])
    assert config.train_dataloader.dataset.ann_file == ["x.pkl"]
    assert config.val_dataloader is None


def timed_clips(rng: np.random.Generator) -> dict[str, Any]:
    """Clips of ten seconds; in every second one the person lies down in the fifth second."""
    contents = random_clips(rng, 12)
    for clip in contents["annotations"]:
        time_s = np.arange(100) / 10
        lying = clip["label"] * np.clip(time_s - 4, 0, 1)[None, :, None]
        body = rng.normal((320, 150), 25, (17, 2))
        clip["keypoint"] = np.broadcast_to(body, (1, 100, 17, 2)).astype(np.float32).copy()
        clip["keypoint"][..., 1] += (150 * lying).astype(np.float32)
        clip["keypoint_score"] = np.full((1, 100, 17), 0.9, np.float32)
        clip["total_frames"], clip["time_s"] = 100, time_s
        clip["fall_intervals"] = [[4.0, 5.0]] if clip["label"] else []
    return contents


def test_train_and_export_recognizer_make_a_recognizer_of_the_shipped_recipe(
    tmp_path: Path, rng: np.random.Generator
) -> None:
    dump_annotations(timed_clips(rng), tmp_path / "falls.pkl")
    short = ("train_cfg.max_epochs=2", "train_dataloader.sampler.epoch_samples=192", "train_dataloader.batch_size=48")
    folder = train(BEST, tmp_path / "run", seed=0, overrides=short, ann_files=[str(tmp_path / "falls.pkl")])
    history = metrics(folder)["history"]
    assert len(history) == 2
    assert all(record["val"]["loss"] > 0 for record in history)
    checkpoint = folder / "epoch_2.pth"
    onnx = export_recognizer(config_beside(checkpoint), checkpoint, tmp_path / "fall.onnx")
    recognizer = Recognizer(onnx)
    assert (recognizer.normalization, recognizer.frames, recognizer.window_s) == ("person_causal", 48, 4.0)
    again = train(BEST, tmp_path / "again", seed=0, overrides=short, ann_files=[str(tmp_path / "falls.pkl")])
    assert weights_hash(again / "epoch_2.pth") == weights_hash(checkpoint)


def test_evaluate_checkpoint_repeats_the_metrics_of_the_run(
    trained: Path, annotation_file: Path, tmp_path: Path
) -> None:
    result = evaluate_checkpoint(
        config_beside(trained / "epoch_2.pth"), trained / "epoch_2.pth", "val", tmp_path, [str(annotation_file)]
    )
    expected = metrics(trained)["last"]["val"]
    written = metrics(tmp_path)
    for name, value in expected.items():
        assert written[name] == (None if value is None else pytest.approx(value, abs=1e-5)), name
    assert result.samples == 12
    assert {"confusion_matrix.png", "pr_curve.png", "metrics.json", "scores.npz"} == {
        p.name for p in tmp_path.iterdir()
    }
    assert f"{written['tp']} of {written['tp'] + written['fn']} falls found" in table(result.report)


@pytest.fixture(scope="module")
def exported(trained: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    checkpoint = trained / "epoch_2.pth"
    return export_recognizer(config_beside(checkpoint), checkpoint, tmp_path_factory.mktemp("onnx") / "fall.onnx")


def test_export_recognizer_runs_in_openvino_and_names_its_input(exported: Path, trained: Path) -> None:
    recognizer = Recognizer(exported, threads=1)
    assert (recognizer.normalization, recognizer.frames, recognizer.window_s) == ("image", 48, None)
    batch = np.random.default_rng(5).uniform(-1, 1, (4, 1, 48, 17, 3)).astype(np.float32)
    network = build_recognizer(load_config(trained / "stgcn_fall.py"), trained / "epoch_2.pth")
    with torch.no_grad():
        expected = network.cls_head(network.backbone(torch.from_numpy(batch))).softmax(1)[:, 1].numpy()
    for people in (1, 4):
        np.testing.assert_allclose(recognizer.probabilities(batch[:people]), expected[:people], atol=1e-4)


def test_export_recognizer_writes_weights_and_nothing_else(exported: Path, trained: Path, tmp_path: Path) -> None:
    weights = exported.with_suffix(".pth")
    state = torch.load(weights, weights_only=True)
    assert all(isinstance(value, torch.Tensor) for value in state.values())
    again = export_recognizer(trained / "stgcn_fall.py", weights, tmp_path / "again.onnx")
    assert Recognizer(again).frames == 48


def test_export_recognizer_of_several_checkpoints_gives_their_mean(
    trained: Path, tmp_path: Path, rng: np.random.Generator
) -> None:
    config, checkpoints = trained / "stgcn_fall.py", [trained / "epoch_1.pth", trained / "epoch_2.pth"]
    alone = [export_recognizer(config, each, tmp_path / f"{each.stem}.onnx") for each in checkpoints]
    together = export_recognizer(config, checkpoints[0], tmp_path / "both.onnx", checkpoints[1])
    batch = rng.uniform(-1, 1, (4, 1, 48, 17, 3)).astype(np.float32)
    one, two, mean = (Recognizer(path).probabilities(batch) for path in (*alone, together))
    assert np.abs(one - two).max() > 1e-4
    np.testing.assert_allclose(mean, (one + two) / 2, atol=1e-5)
    assert together.with_suffix(".pth").read_bytes() == alone[0].with_suffix(".pth").read_bytes()


def test_export_recognizer_does_not_write_an_export_that_differs(
    trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("falldet.openmmlab.export.TOLERANCE", -1.0)
    with pytest.raises(FalldetError, match="nothing was written"):
        export_recognizer(trained / "stgcn_fall.py", trained / "epoch_2.pth", tmp_path / "fall.onnx")
    assert not list(tmp_path.iterdir())


def test_export_recognizer_tells_a_checkpoint_of_another_network(trained: Path, tmp_path: Path) -> None:
    with pytest.raises(FalldetError, match="give the config it was trained with"):
        export_recognizer(CONFIG, trained / "epoch_2.pth", tmp_path / "fall.onnx")


def test_train_tool_tells_how_to_make_the_annotation_file(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, ROOT / "tools" / "train.py", CONFIG, "--ann-file", "none.pkl"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert "python tools/extract_kpts.py videos/ --out none.pkl" in done.stderr
    assert "Traceback" not in done.stderr
    assert len(done.stdout.splitlines()) == 0


@pytest.mark.parametrize("tool", ["train.py", "test.py", "export.py"])
def test_tools_without_openmmlab_name_the_cure(tool: str) -> None:
    code = (
        "import runpy, sys\n"
        "sys.modules['torch'] = None\n"
        f"sys.argv = [{tool!r}, 'config.py', 'x.pth'][:{2 if tool == 'train.py' else 3}]\n"
        f"runpy.run_path({str(ROOT / 'tools' / tool)!r}, run_name='__main__')"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "make install" in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1


def test_train_resumes_a_moved_work_dir_exactly(annotation_file: Path, tmp_path: Path) -> None:
    extra = ("model.cls_head.dropout=0.3",)
    whole = run_with(annotation_file, tmp_path / "whole", 3, extra)
    first = run_with(annotation_file, tmp_path / "first", 1, extra)
    (tmp_path / "first" / "last_checkpoint").write_text(str(whole / "epoch_3.pth"))  # of another folder
    first = Path(shutil.move(first, tmp_path / "moved"))
    again = run_with(annotation_file, first, 3, extra, resume=True)
    assert weights_hash(again / "epoch_3.pth") == weights_hash(whole / "epoch_3.pth")
    assert [row["train_loss"] for row in metrics(again)["history"]] == [
        row["train_loss"] for row in metrics(whole)["history"]
    ]


def run_with(annotation_file: Path, work_dir: Path, epochs: int, more: tuple[str, ...], **settings: Any) -> Path:
    overrides = (*NARROW, f"train_cfg.max_epochs={epochs}", *more)
    return train(CONFIG, work_dir=work_dir, overrides=overrides, ann_files=[str(annotation_file)], **settings)


def test_train_resume_tells_an_incomplete_checkpoint(trained: Path, annotation_file: Path, tmp_path: Path) -> None:
    for name in ("epoch_1.pth", "epoch_2.pth"):
        shutil.copy(trained / name, tmp_path / name)
    newest = tmp_path / "epoch_2.pth"
    newest.write_bytes(newest.read_bytes()[:20_000])
    with pytest.raises(FalldetError, match=r"epoch_2.pth is incomplete; copy it again; without it.*epoch_1.pth"):
        run(annotation_file, tmp_path, epochs=3, resume=True)


def test_evaluate_checkpoint_tells_an_incomplete_checkpoint(
    trained: Path, annotation_file: Path, tmp_path: Path
) -> None:
    cut = tmp_path / "cut.pth"
    cut.write_bytes((trained / "epoch_2.pth").read_bytes()[:20_000])
    with pytest.raises(FalldetError, match=r"cut.pth is incomplete; copy it again$"):
        evaluate_checkpoint(CONFIG, cut, ann_files=[str(annotation_file)])


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("train_dataloader.batch_size=0", "batch_size = 0 must be a whole number of at least 1"),
        ("train_dataloader.batch_size=1.5", "batch_size = 1.5 must be"),
        ("val_dataloader.num_workers=-1", "num_workers = -1 must be"),
        ("train_cfg.max_epochs=0", "max_epochs = 0 must be"),
        ("train_cfg.max_epochs=many", "max_epochs = 'many' must be"),
        ("optim_wrapper.optimizer.lr=0", "lr = 0 must be a number above 0"),
        ("optim_wrapper.optimizer.lr=-1", "lr = -1 must be"),
        ("optim_wrapper.optimizer.lr=1e999", "lr = inf must be"),
        ("model.cls_head.num_classes=60", "num_classes = 60, but falldet tells 2 classes"),
        ("randomness.seed=-1", "seed = -1 must be"),
    ],
)
def test_train_refuses_settings_without_a_training(
    annotation_file: Path, tmp_path: Path, override: str, message: str
) -> None:
    with pytest.raises(FalldetError, match=message):
        run_with(annotation_file, tmp_path / "work", 1, (override,))
    assert not (tmp_path / "work").exists()


def test_train_tells_a_rate_that_diverges(
    annotation_file: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with pytest.raises(FalldetError, match=r"(loss became nan|training diverges).*lower optim_wrapper.optimizer.lr"):
        run_with(annotation_file, tmp_path, 3, ("optim_wrapper.optimizer.lr=1e8",))
    assert "is high" in caplog.text


def test_train_tells_a_work_dir_that_cannot_be_made(annotation_file: Path, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(FalldetError, match=r"can't write into .*choose another --work-dir"):
        run(annotation_file, tmp_path / "file" / "work", epochs=1)


def test_train_warns_of_one_class_and_refuses_shared_clips(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    content = random_clips(np.random.default_rng(1), 16)
    content["split"]["train"] = ["clip_0", "clip_2"]
    dump_annotations(content, tmp_path / "one.pkl")
    run(tmp_path / "one.pkl", tmp_path / "work", epochs=1)
    assert "split train holds 2 samples, all without a fall; add falls" in caplog.text
    with pytest.raises(FalldetError, match="are in train and in val"):
        run(tmp_path / "one.pkl", tmp_path / "work", epochs=1, splits=["val=train"])


@pytest.mark.parametrize("form", ["float16", "xyc", "list", "splits"])
def test_train_reads_files_of_mmaction_and_pyskl(tmp_path: Path, form: str) -> None:
    content: Any = random_clips(np.random.default_rng(1), 16)
    settings: dict[str, Any] = {}
    for annotation in content["annotations"]:
        annotation |= {"valid": {0.5: 1.0}, "box_score": np.ones((1, annotation["total_frames"]), np.float32)}
        if form == "float16":
            annotation["keypoint"] = annotation["keypoint"].astype(np.float16)
        if form == "xyc":
            score = annotation.pop("keypoint_score")
            annotation["keypoint"] = np.concatenate([annotation["keypoint"], score[..., None]], axis=3)
    if form == "list":
        content = content["annotations"]
    if form == "splits":
        content["split"] = {f"xsub_{name}": names for name, names in content["split"].items()}
        settings["splits"] = ["train=xsub_train", "val=xsub_val", "test=xsub_test"]
    (tmp_path / "falls.pkl").write_bytes(pickle.dumps(content))
    if form == "splits":
        with pytest.raises(FalldetError, match="use it for train with --splits train=xsub_train"):
            run(tmp_path / "falls.pkl", tmp_path / "work", epochs=1)
    assert (run(tmp_path / "falls.pkl", tmp_path / "work", epochs=1, **settings) / "epoch_1.pth").is_file()
