"""The fall dataset: labelled skeleton clips from one annotation file, whole or cut into windows of seconds."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from mmaction.datasets import PoseDataset
from mmaction.registry import DATASETS

from falldet.annotations import load_annotations
from falldet.errors import FalldetError


@DATASETS.register_module()
class FallDataset(PoseDataset):
    """Skeleton clips labelled 0 (no fall) or 1 (fall).

    Args:
        ann_file: the pickle that tools/extract_kpts.py writes; read without running code from it.
        pipeline: transforms, in order.
        split: name of one of the file's splits, or None for every clip.
        window: None makes every clip one sample. A dict makes every clip its labelled windows: the keyword arguments
            of `falldet.windows.label_windows`, such as `dict(length_s=2.0, stride_s=0.5)`, in seconds.
        kwargs: passed on to MMAction2's dataset.

    A sample holds `keypoint` (M, T, V, 2) float32 pixels, `keypoint_score` (M, T, V) float32, `img_shape` (h, w),
    `total_frames` T, `label` and `frame_dir`, the clip's name.
    """

    def __init__(
        self,
        ann_file: str,
        pipeline: list[Any],
        split: str | None = None,
        window: dict[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        """Read the annotations; see the class for the arguments."""
        self.window = window
        super().__init__(ann_file, pipeline, split=split, **kwargs)

    def load_data_list(self) -> list[dict[str, Any]]:
        """Return the samples of the split.

        Raises:
            FalldetError: the file is missing, the split is unknown or it holds no sample.
        """
        path = Path(self.ann_file)
        if not path.is_file():
            raise FalldetError(
                f"no annotation file {path}; make it with `python tools/extract_kpts.py videos/ --out {path}`"
            )
        content = load_annotations(path)
        samples = content["annotations"]
        if self.split is not None:
            splits = content["split"]
            if self.split not in splits:
                raise FalldetError(f"{path} has no split {self.split!r}; it has {', '.join(sorted(splits))}")
            chosen = set(splits[self.split])
            samples = [annotation for annotation in samples if annotation["frame_dir"] in chosen]
        if self.window is not None:
            from falldet.windows import label_windows

            samples = [sample for annotation in samples for sample in label_windows(annotation, **self.window)]
        if not samples:
            raise FalldetError(
                f"split {self.split!r} of {path} holds no sample; extract more clips or choose another split"
            )
        return samples
