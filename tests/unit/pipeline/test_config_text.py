"""The configuration as text: configs/detect.toml and the documentation can't drift from the dataclasses."""

from __future__ import annotations

import tomllib
import typing
from dataclasses import dataclass
from itertools import pairwise

import pytest

from falldet.models.shipped import shipped_folder
from falldet.pipeline.config import Config
from falldet.pipeline.config_text import UNITS, as_markdown, as_toml, attribute_docs, split_effect, unit_of


def test_as_toml_is_the_shipped_file() -> None:
    shipped = (shipped_folder("configs") / "detect.toml").read_text(encoding="utf-8")
    assert shipped == as_toml(Config()), "run `falldet config > configs/detect.toml`"


def test_as_toml_is_read_back_as_the_same_config() -> None:
    config = Config().with_overrides(
        [
            "events.ignore_zones=[[[0,0],[1,0],[1,0.5]]]",
            "pose.source=yolox_s+hrnet_w32",
            'recognizer.config="a\\"b\\\\c"',
        ]
    )
    assert Config.from_groups(tomllib.loads(as_toml(config))) == config


def test_as_toml_has_a_comment_before_every_value() -> None:
    lines = as_toml(Config()).splitlines()
    for before, line in pairwise(lines):
        if " = " in line and not line.startswith("#"):
            assert before.startswith("# "), line
    assert max(map(len, lines)) <= 100


def test_as_markdown_has_a_row_for_every_setting() -> None:
    page = as_markdown()
    for group, values in Config().groups().items():
        assert f"\n## {group}\n" in f"\n{page}"
        for key in values:
            (row,) = [line for line in page.splitlines() if line.startswith(f"| `{group}.{key}` |")]
            assert row.replace("\\|", "").count("|") == 6


def test_attribute_docs_join_lines_and_name_a_field_without_words() -> None:
    @dataclass
    class Good:
        """Summary.

        Attributes:
            a: first
                second: third.
            b: fourth.

        Example:
            >>> Good()
        """

        a: int = 1
        b: int = 2

    @dataclass
    class Bad:
        """Summary.

        Attributes:
            a: first.
        """

        a: int = 1
        b: int = 2

    assert attribute_docs(Good) == {"a": "first second: third.", "b": "fourth."}
    with pytest.raises(ValueError, match="Bad's docstring does not describe b"):
        attribute_docs(Bad)


@pytest.mark.parametrize(
    ("text", "meaning", "effect"),
    [
        ("speed. Higher: fewer inferences.", "Speed.", "fewer inferences."),
        ("score. Lower: more inferences.", "Score.", "(when lower) more inferences."),
        ("which one.", "Which one.", ""),
    ],
)
def test_split_effect_separates_what_it_is_from_what_it_does(text: str, meaning: str, effect: str) -> None:
    assert split_effect(text) == (meaning, effect)


def test_split_effect_is_told_for_every_number() -> None:
    config = Config()
    for group, values in config.groups().items():
        settings = type(getattr(config, group))
        docs, kinds = attribute_docs(settings), typing.get_type_hints(settings)
        for key in values:
            assert kinds[key] not in (int, float) or split_effect(docs[key])[1], f"{group}.{key}: say Higher: or Lower:"


def test_unit_of_every_setting_is_known() -> None:
    config, used = Config(), set()
    for group, values in config.groups().items():
        kinds = typing.get_type_hints(type(getattr(config, group)))
        for key in values:
            used.add(key)
            assert unit_of(key, kinds[key]) or kinds[key] not in (int, float), f"{group}.{key}"
    assert set(UNITS) <= used
