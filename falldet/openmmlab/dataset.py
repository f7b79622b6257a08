"""Dataset of skeleton clips labeled fall or no fall, whole or cut into windows of seconds."""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np
from mmaction.datasets import PoseDataset
from mmaction.registry import DATASETS, TRANSFORMS

from falldet.data.annotations import Annotation, load_annotations
from falldet.data.splits import drawn_splits
from falldet.data.window_labels import DrawSettings, TargetSettings, label_windows
from falldet.errors import FalldetError
from falldet.openmmlab.transforms import SampleCausal
from falldet.stages.preprocessing import WINDOW_FRAMES, resample
from falldet.stages.windows import WindowSettings
from falldet.terminal import printable, shown

_WINDOW_SETTINGS = (WindowSettings, TargetSettings, DrawSettings)


@DATASETS.register_module()
class FallDataset(PoseDataset):
    """Skeleton clips labeled 0 (no fall) or 1 (fall).

    A sample holds `keypoint` (M, T, V, 2) float32 pixels, `keypoint_score` (M, T, V) float32, `img_shape` (h, w),
    `total_frames` T, `label` and `frame_dir`, the name of the clip. A window has T = `WINDOW_FRAMES` poses: it is
    resampled once, as in the live pipeline. Where the first transform is `SampleCausal`, a sample holds the `Window`
    itself as `window`, and the transform samples it.

    Args:
        ann_file: the pickle that tools/extract_kpts.py writes, or several; read without running code from them.
        pipeline: transforms, in order. With `window`, their `clip_len` must be `WINDOW_FRAMES`.
        split: name of a split of the file; None for all clips.
        window: None makes every clip one sample. A dict cuts every clip into labeled windows: it holds fields of
            `WindowSettings`, and of `TargetSettings` and `DrawSettings` in `falldet.data.window_labels`, such as
            `dict(length_s=4.0, stride_s=0.25)`.
        leave_out: clips whose names begin with one of these are left out.
        descents: CSV file with the columns `clip` and `descent_s`: the length of the descent of clips that are labeled
            as whole events.
        kwargs: as for MMAction2's PoseDataset.

    Attributes:
        clips: file and name of each clip used.
        subjects: names of the people in them, as far as they are known.
        label_counts: number of samples by label.

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
        descents: str | None = None,
        **kwargs: Any,
    ) -> None:
        self.leave_out = tuple(leave_out)
        self.clips: set[tuple[str, str]] = set()
        self.subjects: set[str] = set()
        self.label_counts: Counter[int] = Counter()
        self.window = window
        self._descents = {} if descents is None else read_descents(descents)
        self._causal = bool(pipeline) and _is_causal(pipeline[0])
        if window is not None:
            _check_clip_len(pipeline)
            kwargs.setdefault("serialize_data", False)  # windows of a clip share its arrays
        self.ann_files = [ann_file] if isinstance(ann_file, str) else list(ann_file)
        super().__init__("", pipeline, split=split, **kwargs)

    def load_data_list(self) -> list[dict[str, Any]]:
        """Return the samples of the split, of all files; see the class for the errors."""
        samples = [sample for path in self.ann_files for sample in self._samples(path)]
        if not samples:
            names = ", ".join(self.ann_files)
            raise FalldetError(
                f"split {shown(self.split)} of {names} holds no sample; extract more clips or choose another"
            )
        self.label_counts = Counter(sample["label"] for sample in samples)
        return samples

    def get_data_info(self, idx: int) -> dict[str, Any]:
        """Return one sample; a window is resampled now, unless `SampleCausal` will do it."""
        if self.window is None:
            return super().get_data_info(idx)
        sample = {**self.data_list[idx], "modality": self.modality, "start_index": self.start_index}
        if self._causal:
            return sample
        keypoints, scores = resample(sample.pop("window"))
        return {
            **sample,
            "total_frames": WINDOW_FRAMES,
            "keypoint": keypoints[None].astype(np.float32),
            "keypoint_score": scores[None].astype(np.float32),
        }

    def labels(self) -> np.ndarray:
        """Return the labels (N,) of all samples."""
        return np.array([self._sample(index)["label"] for index in range(len(self))])

    def names(self) -> list[str]:
        """Return the names of the clips of all samples, N; a window's is followed by `@`, its person and its end."""
        return [self._sample(index)["frame_dir"] for index in range(len(self))]

    def _sample(self, index: int) -> dict[str, Any]:
        return self.data_list[index] if self.window is not None else self.get_data_info(index)

    def _samples(self, path: str) -> Iterator[dict[str, Any]]:
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
            yield from annotations  # type: ignore[misc]
            return
        how = _window_settings(self.window)
        for annotation in annotations:
            yield from _window_samples(self._with_descents(annotation), *how)

    def _with_descents(self, annotation: Annotation) -> Annotation:
        """Return the annotation with the descents of the CSV file, where its clip is listed there."""
        name = annotation["frame_dir"]
        lengths = [length_s for clip, length_s in self._descents.items() if f"/{name}".endswith(f"/{clip}")]
        if not lengths:
            return annotation
        falls = [[start_s, start_s + lengths[0]] for start_s, _ in annotation.get("fall_intervals", [])]
        return {**annotation, "fall_intervals": falls}


def _no_split(path: str, split: str, known: Sequence[str]) -> str:
    """Return the sentence about a split that a file doesn't have, with the option that names another."""
    near = [name for name in known if split in name] or list(known)
    names = ", ".join(shown(name) for name in known[:8])
    cure = f"use it for {split} with --splits {split}={printable(near[0][:80])}" if near else "make it anew"
    return f"{path} has no split {shown(split)}; it has {names}; {cure}"


def read_descents(path: str | Path) -> dict[str, float]:
    """Return the lengths of descents in seconds by clip; raises FalldetError where the file is missing or wrong."""
    try:
        with Path(path).open(encoding="utf-8", newline="") as stream:
            return {row["clip"]: float(row["descent_s"]) for row in csv.DictReader(stream)}
    except OSError as error:
        raise FalldetError(f"can't read {path}: {error.strerror}; descents must name a CSV file") from None
    except (KeyError, TypeError, ValueError) as error:
        raise FalldetError(f"{path} must be a CSV file with the columns clip and descent_s: {error!r}") from None


def _window_samples(
    annotation: Annotation, settings: WindowSettings, target: TargetSettings, draw: DrawSettings
) -> Iterator[dict[str, Any]]:
    for each in label_windows(annotation, settings, target, draw):
        window = each.window
        yield {
            "frame_dir": f"{annotation['frame_dir']}@{window.track_id}@{window.stop_s:.2f}",
            "label": each.label,
            "img_shape": annotation["img_shape"],
            "original_shape": annotation["original_shape"],
            "window": window,
        }


def _window_settings(window: Mapping[str, Any]) -> tuple[WindowSettings, TargetSettings, DrawSettings]:
    """Return the settings in a config's `window`; raises FalldetError at an unknown key."""
    names = {kind: [field.name for field in fields(kind)] for kind in _WINDOW_SETTINGS}
    known = [name for own in names.values() for name in own]
    for key in window:
        if key not in known:
            raise FalldetError(f"window.{key} is unknown; known are {', '.join(known)}")
    settings, target, draw = ({n: window[n] for n in own if n in window} for own in names.values())
    return WindowSettings(**settings), TargetSettings(**target), DrawSettings(**draw)


def _is_causal(step: Any) -> bool:
    kind = step["type"] if isinstance(step, Mapping) else type(step)
    return (TRANSFORMS.get(kind) if isinstance(kind, str) else kind) is SampleCausal


def _check_clip_len(pipeline: Sequence[Any]) -> None:
    """Raise FalldetError where a transform would resample the windows to another number of frames."""
    for step in pipeline:
        clip_len = step.get("clip_len", WINDOW_FRAMES) if isinstance(step, Mapping) else WINDOW_FRAMES
        if clip_len != WINDOW_FRAMES and not _is_causal(step):
            raise FalldetError(
                f"{step['type']}.clip_len = {clip_len}, but windows have {WINDOW_FRAMES} frames and are resampled only "
                f"once; set clip_len = {WINDOW_FRAMES}"
            )
