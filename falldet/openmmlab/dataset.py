"""Dataset of skeleton clips labeled fall or no fall, whole or cut into windows of seconds."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import fields
from inspect import signature
from typing import Any

from mmaction.datasets import PoseDataset
from mmaction.registry import DATASETS

from falldet.data.annotations import Annotation, load_annotations
from falldet.data.splits import drawn_splits
from falldet.data.window_labels import label_windows
from falldet.errors import FalldetError
from falldet.stages.preprocessing import WINDOW_FRAMES
from falldet.stages.windows import WindowSettings
from falldet.terminal import printable, shown

_FORMER_WINDOW_KEYS = {"poses_per_s": "pose_fps"}
"""Names in the configs of finished runs; delete with `falldet.openmmlab.aliases`."""


@DATASETS.register_module()
class FallDataset(PoseDataset):
    """Skeleton clips labeled 0 (no fall) or 1 (fall).

    A sample holds `keypoint` (M, T, V, 2) float32 pixels, `keypoint_score` (M, T, V) float32, `img_shape` (h, w),
    `total_frames` T, `label` and `frame_dir`, the name of the clip. A window has T = `WINDOW_FRAMES` poses: it is
    resampled once, when it is cut, as in the live pipeline.

    Args:
        ann_file: the pickle that tools/extract_kpts.py writes, or several; read without running code from them.
        pipeline: transforms, in order. With `window`, their `clip_len` must be `WINDOW_FRAMES`.
        split: name of a split of the file; None for all clips.
        window: None makes every clip one sample. A dict cuts every clip into labeled windows: it holds the fields of
            `WindowSettings` and the keyword arguments of `falldet.data.window_labels.label_windows`, such as
            `dict(length_s=2.0, stride_s=0.5)`.
        leave_out: clips whose names begin with one of these are left out.
        kwargs: as for MMAction2's PoseDataset.

    Attributes:
        clips: file and name of each clip used.
        subjects: names of the people in them, as far as they are known.
        labels: number of samples by label.

    Raises:
        FalldetError: a file is missing, the split is unknown or has no sample, `window` has an unknown key, or a
            transform would resample the windows again.
    """

    def __init__(
        self,
        ann_file: str | list[str],
        pipeline: list[Any],
        split: str | None = None,
        window: dict[str, Any] | None = None,
        leave_out: Sequence[str] = (),
        **kwargs: Any,
    ) -> None:
        self.leave_out = tuple(leave_out)
        self.clips: set[tuple[str, str]] = set()
        self.subjects: set[str] = set()
        self.labels: Counter[int] = Counter()
        self.window = window
        if window is not None:
            _check_clip_len(pipeline)
        self.ann_files = [ann_file] if isinstance(ann_file, str) else list(ann_file)
        super().__init__("", pipeline, split=split, **kwargs)

    def load_data_list(self) -> list[Annotation]:
        """Return the samples of the split, of all files; see the class for the errors."""
        samples = [sample for path in self.ann_files for sample in self._samples(path)]
        if not samples:
            names = ", ".join(self.ann_files)
            raise FalldetError(
                f"split {shown(self.split)} of {names} holds no sample; extract more clips or choose another"
            )
        self.labels = Counter(sample["label"] for sample in samples)
        return samples

    def _samples(self, path: str) -> list[Annotation]:
        content = load_annotations(path)
        annotations = content["annotations"]
        if self.split is not None:
            splits = content["split"] or drawn_splits(annotations, path)
            if self.split not in splits:
                raise FalldetError(_no_split(path, self.split, list(splits)))
            chosen = set(splits[self.split])
            annotations = [annotation for annotation in annotations if annotation["frame_dir"] in chosen]
        annotations = [item for item in annotations if not item["frame_dir"].startswith(self.leave_out)]
        self.clips |= {(path, item["frame_dir"]) for item in annotations}
        self.subjects |= {item["subject"] for item in annotations if item.get("subject")}
        if self.window is None:
            return annotations
        settings, labels = _window_arguments(self.window)
        return [sample for annotation in annotations for sample in label_windows(annotation, settings, **labels)]


def _no_split(path: str, split: str, known: Sequence[str]) -> str:
    """Return the sentence about a split that a file doesn't have, with the option that names another."""
    near = [name for name in known if split in name] or list(known)
    names = ", ".join(shown(name) for name in known[:8])
    cure = f"use it for {split} with --splits {split}={printable(near[0][:80])}" if near else "make it anew"
    return f"{path} has no split {shown(split)}; it has {names}; {cure}"


def _window_arguments(window: Mapping[str, Any]) -> tuple[WindowSettings, dict[str, Any]]:
    """Return the settings and the keyword arguments of `label_windows` in a config's `window`."""
    labels = {_FORMER_WINDOW_KEYS.get(key, key): value for key, value in window.items()}
    settings = {field.name: labels.pop(field.name) for field in fields(WindowSettings) if field.name in labels}
    known = [name for name, each in signature(label_windows).parameters.items() if each.kind is each.KEYWORD_ONLY]
    for key in labels:
        if key not in known:
            names = [field.name for field in fields(WindowSettings)] + known
            raise FalldetError(f"window.{key} is unknown; known are {', '.join(names)}")
    return WindowSettings(**settings), labels


def _check_clip_len(pipeline: Sequence[Any]) -> None:
    """Raise FalldetError where a transform would resample the windows to another number of frames."""
    for step in pipeline:
        clip_len = step.get("clip_len", WINDOW_FRAMES) if isinstance(step, Mapping) else WINDOW_FRAMES
        if clip_len != WINDOW_FRAMES:
            raise FalldetError(
                f"{step['type']}.clip_len = {clip_len}, but windows have {WINDOW_FRAMES} frames and are resampled only "
                f"once; set clip_len = {WINDOW_FRAMES}"
            )
