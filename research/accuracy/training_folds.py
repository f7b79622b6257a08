"""What the study trains: the recipe and what differs from it, on sources of which some are left out."""

from __future__ import annotations

import os
import subprocess
import sys
from argparse import ArgumentParser, Namespace
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from falldet.config import read_settings
from falldet.data.manifest import ClipRecord, read_manifest
from falldet.errors import FalldetError
from falldet.pipeline.detector import Settings

ROOT = Path(__file__).resolve().parents[2]
SOURCES = ("urfd", "gmdcsa24", "survnofight")
VIDEOS, KEYPOINTS = "train_dataloader.dataset.datasets.0.dataset", "train_dataloader.dataset.datasets.1"
SHORT = (
    "model.backbone.base_channels=16",
    "model.cls_head.in_channels=64",
    "train_cfg.max_epochs=1",
    "train_cfg.val_begin=9",
    "param_scheduler.0.T_max=1",
    "param_scheduler.0.convert_to_iter_based=True",
)
"""The study's schedule: a narrower network and one epoch, so that a run takes three minutes of one core."""

THRESHOLDS = (*(score / 100 for score in range(10, 95, 5)), 0.93, 0.95, 0.97, 0.98, 0.99)


@dataclass(frozen=True, slots=True)
class Row:
    """One way of training.

    Attributes:
        what: what differs from the recipe.
        train: settings of configs/stgcn_fall_best.py.
        live: settings of configs/demo.py.
        keypoints: annotation files that are learnt from beside the videos'.
        trained_as: the row whose training this one shares, if any.
        mean_of: how many seeds, from the given one on, are judged as one recognizer, the mean of their probabilities.
    """

    what: str
    train: tuple[str, ...] = ()
    live: tuple[str, ...] = ()
    keypoints: tuple[str, ...] = ("fallvision.pkl",)
    trained_as: str = ""
    mean_of: int = 1


def _epochs(count: int) -> tuple[str, str]:
    return f"train_cfg.max_epochs={count}", f"param_scheduler.0.T_max={count}"


def _window(setting: str) -> tuple[str, str]:
    return f"{VIDEOS}.window.{setting}", f"{KEYPOINTS}.window.{setting}"


def _step(number: int, setting: str) -> tuple[str, str]:
    """Return a setting of one step of the training pipeline, for both kinds of clips."""
    return f"{VIDEOS}.pipeline.{number}.{setting}", f"{KEYPOINTS}.pipeline.{number}.{setting}"


DISTURB, NORMALISE = 3, 4
"""Places of AugmentSkeleton and NormalizeSkeleton in the training pipeline."""

ROWS = {
    "recipe": Row("configs/stgcn_fall_best.py at the study's schedule"),
    "mean-of-three": Row("the mean of seeds 0, 1 and 2 (--seeds 0)", trained_as="recipe", mean_of=3),
    "384": Row("the same, pictures of 384 pixels", live=("movenet.input_size=384",), trained_as="recipe"),
    "shipped": Row(
        "the shipped width and six epochs, which take half an hour",
        ("model.backbone.base_channels=24", "model.cls_head.in_channels=96", *_epochs(6)),
    ),
    "athletics": Row(
        "with captured sport (research/synthetic_data/athletics.py)", keypoints=("fallvision.pkl", "athletics.pkl")
    ),
    "videos-only": Row("without FallVision, six epochs", _epochs(6), keypoints=()),
    "scenes": Row("with 1,000 drawn scenes (tools/compose_scenes.py)", keypoints=("fallvision.pkl", "scenes.pkl")),
    "no-motion": Row("without motion channels", ("model.backbone.type=STGCN",)),
    "no-disturbance": Row(
        "without AugmentSkeleton",
        tuple(
            setting
            for name in ("tilt_degrees", "jitter", "drop_joint", "drop_limb", "drop_frames")
            for setting in _step(DISTURB, f"{name}=0.0")
        )
        + _step(DISTURB, "stretch=1.0"),
    ),
    "views": Row(
        "with tilt up to 20 degrees and stretch up to 2",
        (*_step(DISTURB, "stretch=2.0"), *_step(DISTURB, "tilt_degrees=20.0")),
    ),
    "image": Row(
        "image coordinates instead of person-centered ones",
        (
            *_step(NORMALISE, "mode=image"),
            "val_dataloader.dataset.pipeline.2.mode=image",
            "test_dataloader.dataset.pipeline.2.mode=image",
        ),
    ),
    "speeds": Row("with windows at 0.8, 1 and 1.25 times the speed", _window("speeds=[0.8,1.0,1.25]")),
    "rates": Row("with windows at every frame, 15 and 10 poses a second", _window("poses_per_s=[0,15,10]")),
    "long-windows": Row(
        "with windows of 2.7 s",
        (*_window("length_s=2.7"), *(f"{split}_dataloader.dataset.window.length_s=2.7" for split in ("val", "test"))),
        ("windows.length_s=2.7",),
    ),
    "again": Row("the recipe trained anew, on another processor; the rows that follow share it"),
    "every-frame": Row("again, poses of every frame", live=("sampling.active_fps=0",), trained_as="again"),
    "unmoved": Row(
        "again, 15 poses a second at rest whatever moves", live=("sampling.idle_fps=15",), trained_as="again"
    ),
    "wake-at-0.01": Row(
        "unmoved, waking at 0.01 for 1 s (the former default)",
        live=("sampling.idle_fps=15", "sampling.full_rate_threshold=0.01", "sampling.full_rate_hold_s=1.0"),
        trained_as="again",
    ),
    "15-a-second": Row(
        "unmoved, never more than 15 poses a second",
        live=("sampling.idle_fps=15", "sampling.full_rate_hold_s=0"),
        trained_as="again",
    ),
    "10-a-second": Row(
        "unmoved, never more than 10",
        live=("sampling.idle_fps=10", "sampling.active_fps=10", "sampling.full_rate_hold_s=0"),
        trained_as="again",
    ),
    "bfloat16": Row("again, poses in bfloat16", live=("movenet.precision=fastest",), trained_as="again"),
}


@dataclass(frozen=True, slots=True)
class Places:
    """Where things are: annotation files, videos, cached poses, and where runs go."""

    data: Path
    videos: Path
    poses: Path
    work_dir: Path


def add_options(parser: ArgumentParser) -> None:
    """Add what `places_of` reads, the seeds and how many runs go at a time."""
    data = "folder of the annotation files, see data/README.md (default: data/)"
    parser.add_argument("--data", type=Path, default=ROOT / "data", help=data)
    parser.add_argument("--videos", type=Path, help=f"folder with {', '.join(f'{name}/' for name in SOURCES)}")
    parser.add_argument("--poses", type=Path, default=ROOT / "work_dirs" / "poses", help="poses are kept here")
    parser.add_argument("--work-dir", type=Path, default=ROOT / "work_dirs" / "experiments", help="runs go here")
    parser.add_argument("--jobs", type=int, default=1, help="runs at a time, one core each (default: 1)")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2], help="(default: 0 1 2)")


def places_of(arguments: Namespace) -> Places:
    """Return the places that the options name."""
    folders = (arguments.data, arguments.videos, arguments.poses, arguments.work_dir)
    return Places(*(folder.resolve() for folder in folders))


def train(row: Row, left_out: Sequence[str], seed: int, data: Path, folder: Path, more: Sequence[Path] = ()) -> Path:
    """Train on everything but the sources left out and return the checkpoint; a finished run is not repeated.

    Args:
        row: what differs from the recipe.
        left_out: sources of videos that are not trained on.
        seed: of the run.
        data: folder of the annotation files.
        folder: where the run goes.
        more: annotation files that are trained on as the videos are.

    Raises:
        FalldetError: an annotation file is missing, or the training failed.
    """
    for path in (data / "falls.pkl", *(data / name for name in row.keypoints)):
        if not path.is_file():
            raise FalldetError(f"no {path}; data/README.md says how it is made")
    command = training_command(row, left_out, seed, data, folder, more)
    epochs = [option.partition("=")[2] for option in command if option.startswith("train_cfg.max_epochs=")]
    checkpoint = folder / f"epoch_{epochs[-1]}.pth"
    if checkpoint.is_file():
        return checkpoint
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "train.log").open("w", encoding="utf-8") as log:
        environment = {**os.environ, "OMP_NUM_THREADS": "1"}
        done = subprocess.run(command, cwd=ROOT, check=False, stdout=log, stderr=log, env=environment)
    if done.returncode:
        raise FalldetError(f"training into {folder} failed; train.log there says why")
    return checkpoint


def training_command(
    row: Row, left_out: Sequence[str], seed: int, data: Path, folder: Path, more: Sequence[Path] = ()
) -> list[str]:
    """Return the command that `train` runs; see there for the arguments."""
    videos = data / "falls.pkl"
    prefixes = "[" + ",".join(f"'{source}/'" for source in left_out) + "]"
    options = [
        *SHORT,
        *row.train,
        f"{VIDEOS}.leave_out={prefixes}",
        f"val_dataloader.dataset.ann_file={videos}",
    ]
    command = [sys.executable, "tools/train.py", "configs/stgcn_fall_best.py", "--seed", str(seed)]
    command += ["--work-dir", str(folder)]
    if row.keypoints:
        keypoints = [str(data / name) for name in row.keypoints]
        options += [f"{VIDEOS}.ann_file={videos}", f"{KEYPOINTS}.ann_file={keypoints}"]
    else:
        command += ["--ann-file", str(videos)]
    if more:
        command += ["--add-ann-file", *(str(path) for path in more)]
    return [*command, "--cfg-options", *options]


def live_settings(checkpoint: Path, changes: Sequence[str] = ()) -> Settings:
    """Return configs/demo.py with this recognizer, on one thread, poses that every machine makes, and these changes."""
    options = ["movenet.precision=f32", *changes, f"recognizer.checkpoint={checkpoint}", "recognizer.threads=1"]
    return Settings.from_groups(read_settings(ROOT / "configs" / "demo.py", options))


def clips_of(sources: Sequence[str], splits: Sequence[str], videos: Path) -> list[ClipRecord]:
    """Return the labeled videos of these sources and splits."""
    manifests = [videos / source / "manifest.csv" for source in sources]
    return [clip for path in manifests for clip in read_manifest(path, videos) if clip.split in splits]
