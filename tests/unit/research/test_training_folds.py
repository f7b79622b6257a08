"""The study's rows mean what they say, and its tables are right about made-up counts."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("mmaction", reason="needs OpenMMLab (`make install`)")

from falldet.errors import FalldetError
from falldet.openmmlab.config import load_config
from research.accuracy.cross_source import as_markdown as cross_source_page
from research.accuracy.experiments_table import ALERT_SCORE, as_markdown
from research.accuracy.training_folds import (
    DISTURB,
    KEYPOINTS,
    NORMALISE,
    ROOT,
    ROWS,
    SHORT,
    THRESHOLDS,
    VIDEOS,
    live_settings,
    train,
)

PLACE = THRESHOLDS.index(ALERT_SCORE)
CONFIG = ROOT / "configs" / "stgcn_fall_best.py"


def at(config: Any, path: str) -> Any:
    for part in path.split("."):
        config = config[int(part)] if part.isdigit() else config[part]
    return config


@pytest.mark.parametrize("name", ROWS)
def test_every_row_changes_what_is_there(name: str) -> None:
    row, plain = ROWS[name], load_config(CONFIG, SHORT)
    changed = load_config(CONFIG, [*SHORT, *row.train])
    assert (changed.to_dict() != plain.to_dict()) == bool(row.train)
    assert (
        row.train
        or row.live
        or row.keypoints != ROWS["recipe"].keypoints
        or row.mean_of > 1
        or name in ("recipe", "again")
    )
    assert not row.trained_as or (row.trained_as in ROWS and not row.train)
    live_settings(ROOT / "checkpoints" / "stgcn_fall.onnx", row.live)


@pytest.mark.parametrize("clips", [VIDEOS, KEYPOINTS])
def test_steps_are_counted_right(clips: str) -> None:
    config = load_config(CONFIG)
    assert at(config, f"{clips}.pipeline.{DISTURB}.type") == "AugmentSkeleton"
    assert at(config, f"{clips}.pipeline.{NORMALISE}.type") == "NormalizeSkeleton"
    undisturbed = load_config(CONFIG, ROWS["no-disturbance"].train)
    step = at(undisturbed, f"{clips}.pipeline.{DISTURB}")
    assert {key: value for key, value in step.items() if key != "type"} == {
        "tilt_degrees": 0.0,
        "jitter": 0.0,
        "drop_joint": 0.0,
        "drop_limb": 0.0,
        "drop_frames": 0.0,
        "stretch": 1.0,
    }


def test_what_is_missing_is_said_before_training(tmp_path: Path) -> None:
    (tmp_path / "falls.pkl").touch()
    with pytest.raises(FalldetError, match=r"no .*fallvision.pkl; data/README.md says how it is made"):
        train(ROWS["recipe"], ("urfd",), 0, tmp_path, tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_a_training_that_fails_names_its_log(tmp_path: Path) -> None:
    for name in ("falls.pkl", "fallvision.pkl"):
        (tmp_path / name).write_bytes(b"no annotations")
    with pytest.raises(FalldetError, match=r"training into .*run failed; train.log there says why"):
        train(ROWS["recipe"], (), 0, tmp_path, tmp_path / "run")
    assert "not a whole pickle" in (tmp_path / "run" / "train.log").read_text(encoding="utf-8")


def counts(falls: int, right: int, false: int) -> dict[str, Any]:
    """Counts that are these at the alert score, and nothing found at any other."""
    found, wrong = [0] * len(THRESHOLDS), [0] * len(THRESHOLDS)
    found[PLACE], wrong[PLACE] = right, false
    return {"falls": falls, "right": found, "false": wrong}


def test_the_table_adds_folds_before_it_takes_f1() -> None:
    seeds = {
        f"seed{number}": {
            "urfd": {"ceiling": counts(4, 1, 1), "eye level": counts(4, 3, 0)},
            "others": {"surveillance": counts(0, 0, number), "eye level": counts(2, 2, 1)},
        }
        for number in (0, 2)
    }
    page = as_markdown({"recipe": seeds, "no-motion": {"seed0": {"urfd": {}}}}, ("urfd", "others"))
    (row,) = [line for line in page.splitlines() if line.startswith("| recipe |")]
    cells = [cell.strip() for cell in row.strip("|").split("|")]
    # 6 of 10 found, 2 and 4 false: F1 12 / 18 and 12 / 20; without the ceiling 5 of 6, 1 and 3 false
    assert cells[2:5] == ["2", "0.633 ± 0.047", "0.774 ± 0.084"]
    assert cells[5:9] == ["5.0 of 6", "1.0 of 4", "1.0", "2.0"]
    assert "no-motion" not in page  # one fold of it is missing


def test_the_drop_is_between_the_same_clips() -> None:
    def judged(f1: float, right: int) -> dict[str, Any]:
        return {"falls": 10, "right": right, "false": 1, "f1": f1}

    targets = ("URFD", "GMDCSA-24 and surveillance", "FallVision")
    home = {"seed0": {t: judged(0.9, 9) for t in targets}, "seed1": {t: judged(0.8, 8) for t in targets}}
    away = {
        run: {"seed0": {target: judged(0.7, 6)}, "seed1": {target: judged(0.7, 7)}}
        for run, target in zip(("urfd", "others", "fallvision"), targets, strict=True)
    }
    page = cross_source_page({"home": home, **away})
    row = "| 10 | 0.850 (0.800 to 0.900) | 8.5, 1.0 false | 0.700 (0.700 to 0.700) | 6.5, 1.0 false | 15.0 |"
    assert [line for line in page.splitlines() if line.endswith(row)] == [f"| {target} {row}" for target in targets]
