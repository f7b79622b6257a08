"""docs/experiments.md: the rows of research/accuracy/experiments.py as tables for people."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from falldet.config import read_settings
from falldet.evaluation.markdown import table
from falldet.pipeline.detector import Settings
from research.accuracy.training_folds import ROOT, ROWS, THRESHOLDS

ALERT_SCORE = Settings.from_groups(read_settings(ROOT / "configs" / "demo.py")).events.alert_threshold
NO_CEILING = ("eye level", "surveillance")

Counts = Mapping[str, Any]
"""What a group of videos counted: falls, and at each threshold the right and the false alerts."""


def as_markdown(results: Mapping[str, Mapping[str, Any]], folds: Iterable[str]) -> str:
    """Return the tables.

    Args:
        results: row -> seed -> fold -> group of videos -> counts.
        folds: those that a seed must have to be counted.
    """
    complete = {
        name: [seed for seed in results.get(name, {}).values() if set(folds) <= set(seed)]
        for name in ROWS
        if name in results
    }
    rows = [(name, ROWS[name].what, str(len(seeds)), *_cells(seeds)) for name, seeds in complete.items() if seeds]
    head = (
        *("row", "what differs", "seeds", "F1", "F1 without ceiling views", "found at eye level", "from the ceiling"),
        *("false alarms, surveillance", "others", "best F1"),
    )
    recipe = complete.get("recipe", [])
    curves = []
    for title, groups in (("all", None), ("without ceiling views", NO_CEILING)):
        counts = [_add(seed) for seed in recipe]
        means = [_mean([_f1(each, i, groups) for each in counts]) for i in range(len(THRESHOLDS))]
        curves.append((title, *(f"{mean:.3f}" for mean in means)))
    scores = ("F1", *(f"{score:g}" for score in THRESHOLDS))
    return "\n".join(
        [
            "# What each part of the recipe brings",
            "",
            "Fall events on sources left out of training (train and val splits), counts of both folds added; mean and "
            f"standard deviation over the seeds; the rule of configs/demo.py, alert score {ALERT_SCORE:g}. "
            "`python research/accuracy/experiments.py` says how each row is made, and what a fold is.",
            "",
            "Rows from `again` on share three trainings and are to be compared with each other: the same seeds trained "
            "anew, on another processor, gave other recognizers, so the deviation over seeds says less than it seems "
            "to. The rows before were judged at the former pace, `wake-at-0.01`.",
            "",
            *table(head, rows),
            "",
            "## The alert score",
            "",
            "F1 over both folds by alert score, row `recipe`, mean over the seeds.",
            "",
            *table(scores, curves),
            "",
        ]
    )


def _cells(seeds: list[Mapping[str, Any]]) -> list[str]:
    place = THRESHOLDS.index(ALERT_SCORE)
    every = [_add(seed) for seed in seeds]
    found = [
        f"{_mean([groups[name]['right'][place] for groups in every]):.1f} of {every[0][name]['falls']}"
        for name in ("eye level", "ceiling")
    ]
    false = [
        f"{_mean([sum(groups[name]['false'][place] for name in names) for groups in every]):.1f}"
        for names in (("surveillance",), ("eye level", "ceiling"))
    ]
    return [
        _spread([_f1(groups, place) for groups in every]),
        _spread([_f1(groups, place, NO_CEILING) for groups in every]),
        *found,
        *false,
        _spread([max(_f1(groups, i) for i in range(len(THRESHOLDS))) for groups in every]),
    ]


def _add(seed: Mapping[str, Any]) -> dict[str, Any]:
    """Return the counts by group over all folds; only "eye level" is in several."""
    total: dict[str, Any] = {}
    for fold in seed.values():
        for name, group in fold.items():
            known = total.setdefault(name, {"falls": 0, "right": [0] * len(THRESHOLDS), "false": [0] * len(THRESHOLDS)})
            known["falls"] += group["falls"]
            for kind in ("right", "false"):
                known[kind] = [a + b for a, b in zip(known[kind], group[kind], strict=True)]
    return total


def _f1(groups: Mapping[str, Counts], place: int, names: tuple[str, ...] | None = None) -> float:
    chosen = [group for name, group in groups.items() if names is None or name in names]
    right, falls = sum(g["right"][place] for g in chosen), sum(g["falls"] for g in chosen)
    return 2 * right / (right + sum(g["false"][place] for g in chosen) + falls)


def _mean(values: list[float]) -> float:
    return sum(values) / len(values) if values else float("nan")


def _spread(values: list[float]) -> str:
    mean = _mean(values)
    deviation = (sum((value - mean) ** 2 for value in values) / max(len(values) - 1, 1)) ** 0.5
    return f"{mean:.3f} ± {deviation:.3f}" if len(values) > 1 else f"{mean:.3f}"
