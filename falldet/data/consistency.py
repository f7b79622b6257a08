"""Contradictions and leaks in a list of clips: told before the work."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path

from falldet.data.annotations import SPLIT_NAMES
from falldet.data.manifest import ClipRecord
from falldet.errors import FalldetError
from falldet.terminal import shown

logger = logging.getLogger(__name__)


def consistent_clips(clips: Sequence[ClipRecord]) -> list[ClipRecord]:
    """Return the clips without repetitions, which are logged.

    Raises:
        FalldetError: a video is listed twice with different labels, splits or times.
    """
    first: dict[Path, ClipRecord] = {}
    repeated: list[ClipRecord] = []
    for clip in clips:
        known = first.setdefault(clip.path.resolve(), clip)
        if known is clip:
            continue
        for name in ("label", "split", "fall_intervals", "subject"):
            one, other = getattr(known, name), getattr(clip, name)
            if one != other:
                raise FalldetError(
                    f"{clip.place or clip.path}: {clip.path.name} has {name} {_shown(name, other)}, but "
                    f"{_shown(name, one)} in {known.place or known.path}; remove one of the two"
                )
        repeated.append(clip)
    if repeated:
        logger.warning(
            "%d videos are listed twice and used once, such as %s", len(repeated), repeated[0].place or repeated[0].path
        )
    return list(first.values())


def warn_of_shared_subjects(clips: Sequence[ClipRecord], splits: Sequence[str | None]) -> None:
    """Log the subjects whose clips are in train as well as in val or test: metrics there are too good.

    Args:
        clips: the clips.
        splits: the split of each.
    """
    found: dict[str, set[str]] = {split: set() for split in SPLIT_NAMES}
    for clip, split in zip(clips, splits, strict=True):
        if split and clip.subject != clip.path.stem:  # a given name
            found[split].add(clip.subject)
    for split in ("val", "test"):
        shared = sorted(found["train"] & found[split])
        if shared:
            names = ", ".join(shown(name) for name in shared[:3]) + ", ..." * (len(shared) > 3)
            logger.warning(
                "%d subjects are in train and in %s (%s): metrics on %s are too good", len(shared), split, names, split
            )


def _shown(name: str, value: object) -> str:
    if name == "label":
        return "fall" if value else "not_fall"
    if name == "fall_intervals":
        return shown([(fall.start_s, fall.end_s) for fall in value] or None)  # type: ignore[attr-defined]
    return shown(value)
