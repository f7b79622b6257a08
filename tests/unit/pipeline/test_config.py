"""The configuration of the pipeline: files, overrides, former names."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from falldet.errors import FalldetError
from falldet.models.shipped import shipped_folder
from falldet.pipeline.config import Config
from falldet.pipeline.renamed import GROUPS, REPLACED, SETTINGS, new_name

DETECT = shipped_folder("configs") / "detect.toml"


@pytest.mark.parametrize(
    ("groups", "message"),
    [
        ({"tracker": {"velocity_memory_s": 0}}, "tracker: velocity_memory_s = 0 must be above 0"),
        ({"tracker": {"box_scale": -1.0}}, "tracker: box_scale"),
        ({"trackr": {}}, "unknown setting trackr; did you mean 'tracker'"),
        ({"tracker": 3}, "tracker must be a group"),
        ({"tracker": {"min_uoi": 1.0}}, "did you mean 'min_iou'"),
        ({"fusion": {"final_rule": "median"}}, "'higher_score', 'mean'"),
        ({"fusion": {"evidence_windows": 0}}, "fusion: evidence_windows = 0 must be at least 1"),
        ({"events": {"low_share": 2.0}}, "events: low_share"),
        ({"windows": {"stride_s": 0}}, "windows: stride_s"),
        ({"movenet": {"input_size": 250}}, "multiple of 32"),
    ],
)
def test_config_from_groups_names_what_is_wrong(groups: dict, message: str) -> None:
    with pytest.raises(FalldetError, match=message):
        Config.from_groups(groups)


@pytest.mark.parametrize(
    "override",
    ["events.alert_threshold=1e999", "windows.length_s=1e999", "windows.length_s=-1e999"],
)
def test_config_refuses_numbers_that_are_not_finite(override: str, tmp_path: Path) -> None:
    name = override.split("=")[0]
    with pytest.raises(FalldetError, match=rf"{name} = .*finite"):
        Config.read(DETECT, [override])
    group, key = name.split(".")
    path = tmp_path / "a.toml"
    path.write_text(f"[{group}]\n{key} = inf\n", encoding="utf-8")
    with pytest.raises(FalldetError, match=rf"{name} = inf must be a finite number"):
        Config.read(path)


def test_config_read_takes_a_file_with_only_the_values_that_differ(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text("[events]\nalert_threshold = 0.8\nignore_zones = [[[0, 0], [1, 0], [1, 1]]]\n", encoding="utf-8")
    config = Config.read(path, ["tracker.min_iou=0.3", "events.ignore_zones.0.2=[0.5, 0.5]"])
    assert (config.events.alert_threshold, config.tracker.min_iou) == (0.8, 0.3)
    assert config.events.ignore_zones == (((0, 0), (1, 0), (0.5, 0.5)),)
    assert config.windows == Config().windows


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("event.alert_threshold=0.5", "unknown setting event.alert_threshold; did you mean 'events'"),
        ("events.alertthreshold=0.5", "unknown setting events.alertthreshold; did you mean 'alert_threshold'"),
        ("events=3", "events must be a group of settings, got 3"),
        ("events.alert_threshold=high", "events.alert_threshold = 'high' has the wrong type; it must be float"),
        ("events.alert_threshold=1.1", "alert_threshold = 1.1 must lie between 0 and 1"),
        ("events.sensitivity=medium", "events.sensitivity = 'medium' has the wrong type; it must be one of 'high'"),
    ],
)
def test_config_with_overrides_names_what_is_wrong(override: str, message: str) -> None:
    with pytest.raises(FalldetError, match=message):
        Config().with_overrides([override])


@pytest.mark.parametrize("old", [*SETTINGS, *GROUPS])
def test_new_name_is_a_setting_or_group_of_today_and_the_old_one_is_none(old: str) -> None:
    groups = Config().groups()
    known = {*groups, *(f"{group}.{key}" for group, values in groups.items() for key in values)}
    assert new_name(old) in known
    assert old not in known


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("pace.poses_per_s", "sampling.active_fps"),
        ("recogniser.checkpoint", "recognizer.checkpoint"),
        ("events.alert_score", "events.alert_threshold"),
        ("tracker.memory_s", "tracker.max_lost_s"),
    ],
)
def test_config_names_the_new_name_of_an_old_setting(old: str, new: str, tmp_path: Path) -> None:
    group, key = old.split(".")
    path = tmp_path / "old.toml"
    path.write_text(f"[{group}]\n{key} = 1\n", encoding="utf-8")
    with pytest.raises(FalldetError, match=rf"{old} has been renamed: it is {new} now"):
        Config.read(path)
    with pytest.raises(FalldetError, match=rf"{old} has been renamed: it is {new} now"):
        Config().with_overrides([f"{old}=1"])


@pytest.mark.parametrize("old", list(REPLACED))
def test_config_tells_what_replaced_a_setting(old: str) -> None:
    groups = Config().groups()
    known = {f"{group}.{key}" for group, values in groups.items() for key in values}
    assert old not in known
    named = re.findall(r"\b(?:fusion|events)\.\w+", REPLACED[old])
    assert named
    assert known >= set(named)
    with pytest.raises(FalldetError, match=rf"{old} has been replaced: .*{named[0]}"):
        Config().with_overrides([f"{old}=1"])


def test_config_groups_build_the_same_config() -> None:
    config = Config().with_overrides(["events.ignore_zones=[[[0,0],[1,0],[1,1]]]"])
    assert Config.from_groups(config.groups()) == config


def test_config_with_threads_leaves_chosen_numbers_of_threads() -> None:
    config = Config().with_overrides(["topdown.threads=3"]).with_threads(1)
    assert (config.movenet.threads, config.topdown.threads, config.recognizer.threads) == (1, 3, 1)
