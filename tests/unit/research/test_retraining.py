"""Learning from one's own false alarms: the commands are a user's, and the page is right about made-up counts."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("mmaction", reason="needs OpenMMLab (`make install`)")

from falldet.errors import FalldetError
from falldet.evaluation.hard_negatives import FILE_NAME
from falldet.openmmlab.config import innermost_dataset, load_config
from research.accuracy.retraining import BASE, CONTROL, WHAT, as_markdown, mining_command, samples_in
from research.accuracy.training_folds import ROOT, ROWS, VIDEOS, Places, training_command

DATA, FOLDER = Path("data"), Path("run")


def test_mining_looks_at_the_train_split_at_its_own_alert_score() -> None:
    places = Places(DATA, Path("videos"), Path("poses"), Path("runs"))
    command = mining_command(Path("base.pth"), 0.5, FOLDER, places)
    assert " ".join(command[1:]) == (
        "tools/evaluate.py videos/urfd/manifest.csv --root videos --split train --checkpoint base.pth --cache poses "
        "--out-dir run/report --jobs 1 --hard-negatives run --cfg-options events.alert_threshold=0.5 recognizer.threads=1"
    )


def test_mined_clips_join_the_videos_of_the_training_split() -> None:
    mined = FOLDER / FILE_NAME
    command = training_command(ROWS["recipe"], ("urfd",), 0, DATA, FOLDER, [mined])
    added, options = command.index("--add-ann-file"), command.index("--cfg-options")
    assert command[added + 1 : options] == [str(mined)]
    config = load_config(ROOT / command[2], command[options + 1 :], (), command[added + 1 : options])
    dataset = innermost_dataset(config, "train")
    assert dataset["ann_file"] == [str(DATA / "falls.pkl"), str(mined)]
    assert dataset["leave_out"] == ["urfd/"]


def test_without_mined_clips_nothing_but_the_file_is_missing() -> None:
    with_clips = training_command(ROWS["recipe"], ("urfd",), 0, DATA, FOLDER, [FOLDER / FILE_NAME])
    without = training_command(ROWS["recipe"], ("urfd",), 0, DATA, FOLDER)
    place = with_clips.index("--add-ann-file")
    assert with_clips[:place] + with_clips[place + 2 :] == without
    assert f"{VIDEOS}.leave_out=['urfd/']" in without


def test_the_log_tells_the_samples() -> None:
    assert samples_in("training stgcn_fall_best.py: 16274 samples, 1 epochs, into run\n") == 16274
    with pytest.raises(FalldetError, match="names no number of samples"):
        samples_in("no data/falls.pkl\n")


def test_the_page_sets_the_mined_beside_the_control() -> None:
    def counted(way: str, seed: int) -> dict[str, Any]:
        f1 = {BASE: 0.7, CONTROL: 0.75}.get(way, 0.8) + seed / 100
        judged = {"falls": 24, "right": 20 + seed, "false": 8 - seed, "f1": f1, "best f1": f1 + 0.1}
        counts = {"judged": {"fresh": judged, "mined from": {**judged, "falls": 36}}}
        mined = 0 if way == CONTROL else 5 + seed
        return counts if way == BASE else {**counts, "clips": mined, "samples": 10_000 + 20 * mined}

    page = as_markdown({way: {f"seed{seed}": counted(way, seed) for seed in (0, 2)} for way in WHAT})
    assert "| 0.5 | 5, 7 | 100, 140 | 10,120 |" in page
    end = "21.0 (20 to 22) of 24 | 7.0 (6 to 8) | 0.760 (0.750 to 0.770) | 0.860 (0.850 to 0.870) |"
    assert f"| one more epoch, nothing mined | {end}" in page
    assert page.index(" of 24") < page.index("## Clips that were mined from") < page.index(" of 36")
