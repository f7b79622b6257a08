"""The fall dataset: labeled skeleton clips from one annotation file, whole or cut into windows of seconds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields
from typing import Any

from mmaction.datasets import PoseDataset
from mmaction.registry import DATASETS

from falldet.data.annotations import Annotation, load_annotations
from falldet.data.window_labels import label_windows
from falldet.errors import FalldetError
from falldet.stages.windows import WindowSettings


@DATASETS.register_module()
class FallDataset(PoseDataset):
    """Skeleton clips labeled 0 (no fall) or 1 (fall).

    Args:
        ann_file: the pickle that tools/extract_kpts.py writes, or several; read without running code from them.
        pipeline: transforms, in order.
        split: name of one of the file's splits, or None for every clip.
        window: None makes every clip one sample. A dict cuts every clip into labeled windows: it holds the fields of
            `WindowSettings` and the keyword arguments of `falldet.data.window_labels.label_windows`, such as
            `dict(length_s=2.0, stride_s=0.5)`.
        kwargs: passed on to MMAction2's dataset.

    A sample holds `keypoint` (M, T, V, 2) float32 pixels, `keypoint_score` (M, T, V) float32, `img_shape` (h, w),
    `total_frames` T, `label` and `frame_dir`, the clip's name.
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
        """Read the annotations; see the class for the arguments."""
        self.leave_out = tuple(leave_out)
        self.window = window
        self.ann_files = [ann_file] if isinstance(ann_file, str) else list(ann_file)
        super().__init__("", pipeline, split=split, **kwargs)

    def load_data_list(self) -> list[Annotation]:
        """Return the samples of the split, of all files.

        Raises:
            FalldetError: a file is missing, the split is unknown or it holds no sample.
        """
        samples = [sample for path in self.ann_files for sample in self._samples(path)]
        if not samples:
            names = ", ".join(self.ann_files)
            raise FalldetError(f"split {self.split!r} of {names} holds no sample; extract more clips or choose another")
        return samples

    def _samples(self, path: str) -> list[Annotation]:
        content = load_annotations(path)
        annotations = content["annotations"]
        if self.split is not None:
            splits = content["split"]
            if self.split not in splits:
                raise FalldetError(f"{path} has no split {self.split!r}; it has {', '.join(sorted(splits))}")
            chosen = set(splits[self.split])
            annotations = [annotation for annotation in annotations if annotation["frame_dir"] in chosen]
        annotations = [item for item in annotations if not item["frame_dir"].startswith(self.leave_out)]
        if self.window is None:
            return annotations
        labels = dict(self.window)
        settings = WindowSettings(**{f.name: labels.pop(f.name) for f in fields(WindowSettings) if f.name in labels})
        return [sample for annotation in annotations for sample in label_windows(annotation, settings, **labels)]
