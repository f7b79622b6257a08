"""Configuration files and overrides: every mistake is named with the nearest known key."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import pytest

from falldet.config import build, override, parse_override, place_of, read_toml
from falldet.errors import FalldetError


@dataclass(frozen=True, slots=True)
class Example:
    """One field of each kind."""

    rate: float = 1.0
    count: int = 2
    name: str = "a"
    on: bool = False
    side: Literal["left", "right"] = "left"
    limit: float | None = None
    sizes: tuple[int, ...] = ()


def test_read_toml_returns_groups_of_values(tmp_path: Path) -> None:
    path = tmp_path / "a.toml"
    path.write_text('# comment\n[a]\nx = 1\ny = -2.5\nz = "s"\nl = [[0.1, 0.2]]\nb = true\n', encoding="utf-8")
    assert read_toml(path) == {"a": {"x": 1, "y": -2.5, "z": "s", "l": [[0.1, 0.2]], "b": True}}


@pytest.mark.parametrize(
    "contents",
    [b"x = (", b"x = 1\n  y : 2\n", b"\xff\xfe\x00x", b"x = 1\x00", b"x = 1\nx = 2", b"x = " + b"[" * 5000],
    ids=["no value", "no key", "encoding", "zero byte", "twice", "too deep"],
)
def test_read_toml_tells_of_a_broken_file_in_a_sentence(tmp_path: Path, contents: bytes) -> None:
    path = tmp_path / "broken.toml"
    path.write_bytes(contents)
    with pytest.raises(FalldetError, match=r"broken\.toml can't be read as TOML"):
        read_toml(path)


def test_read_toml_names_a_missing_file_or_a_folder(tmp_path: Path) -> None:
    with pytest.raises(FalldetError, match=r"no config .*none\.toml; give an existing TOML file with --config"):
        read_toml(tmp_path / "none.toml")
    with pytest.raises(FalldetError, match="can't be read as TOML"):
        read_toml(tmp_path)


def test_read_toml_names_the_cure_for_an_old_python_file_and_does_not_run_it(tmp_path: Path) -> None:
    path = tmp_path / "demo.py"
    path.write_text(f"open({str(tmp_path / 'was_run')!r}, 'w')", encoding="utf-8")
    with pytest.raises(FalldetError, match=r"demo\.py is a Python file, .*`falldet config > my\.toml`"):
        read_toml(path)
    assert not (tmp_path / "was_run").exists()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a.x=2", 2),
        ("a.x=-0.5", -0.5),
        ("a.x=word", "word"),
        ("a.x='quoted'", "quoted"),
        ('a.x="3"', "3"),
        ("a.x=[1,2]", [1, 2]),
        ("a.x=None", None),
        ("a.x=True", True),
        ("a.x=true", True),
        ("a.x=false", False),
        ("a.x=k=v", "k=v"),
        ("a.x=", ""),
    ],
)
def test_parse_override_reads_literals_and_takes_the_rest_as_text(text: str, expected: object) -> None:
    assert parse_override(text) == ("a.x", expected)


def test_parse_override_does_not_run_code(tmp_path: Path) -> None:
    mark = tmp_path / "was_run"
    text = f"open({str(mark)!r}, 'w')"
    assert parse_override(f"a.x={text}") == ("a.x", text)
    assert not mark.exists()


def test_override_replaces_values_in_groups_and_lists_and_the_last_one_wins() -> None:
    config = {"a": {"x": 1, "y": 2}, "steps": [{"gamma": 0.1}, {"gamma": 0.2}]}
    override(config, ["a.x=2", "a.x=3", "a.z=4", "steps.1.gamma=0.5", "steps.0=7"])
    assert config == {"a": {"x": 3, "y": 2, "z": 4}, "steps": [7, {"gamma": 0.5}]}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a.x", "takes key=value, got 'a.x'"),
        ("evnts.alert_threshold=1", "unknown setting evnts.alert_threshold; did you mean 'events'"),
        ("event=1", "unknown setting event; did you mean 'events'"),
        ("events.alert_threshold.deep=1", "unknown setting events.alert_threshold.deep"),
        ("=1", "unknown setting"),
        ("a.x.y=1", r"unknown setting a\.x\.y; its parent has no settings"),
        ("steps.2.gamma=1", r"unknown setting steps\.2\.gamma; .*known here: 0, 1"),
        ("steps.2=1", r"unknown setting steps\.2; .*known here: 0, 1"),
        ("steps.-1=1", r"unknown setting steps\.-1"),
        ("steps.last=1", r"unknown setting steps\.last"),
    ],
)
def test_override_names_a_wrong_one(text: str, message: str) -> None:
    config = {"a": {"x": 1}, "events": {"alert_threshold": 0.5}, "steps": [{}, {}]}
    with pytest.raises(FalldetError, match=message):
        override(config, [text])


def test_place_of_returns_the_holder_and_the_key() -> None:
    config = {"a": {"x": [1, 2]}}
    assert place_of("a.x.1", config) == ([1, 2], 1)
    assert place_of("a.new", config) == (config["a"], "new")


def test_build_names_the_nearest_known_key() -> None:
    with pytest.raises(FalldetError, match=r"unknown setting tracker\.cuont; did you mean 'count'"):
        build(Example, {"cuont": 3}, "tracker")
    with pytest.raises(FalldetError, match=r"known here: count, limit, name, on, rate, side, sizes"):
        build(Example, {"zzz": 3}, "tracker")


@pytest.mark.parametrize(
    ("values", "fits"),
    [
        ({"rate": 2}, True),
        ({"rate": 2.5}, True),
        ({"rate": "2"}, False),
        ({"rate": True}, False),
        ({"rate": None}, False),
        ({"count": 3}, True),
        ({"count": 3.0}, False),
        ({"count": True}, False),
        ({"name": "b"}, True),
        ({"name": 3}, False),
        ({"on": True}, True),
        ({"on": 1}, False),
        ({"side": "right"}, True),
        ({"side": "up"}, False),
        ({"side": ["left"]}, False),
        ({"limit": None}, True),
        ({"limit": 1}, True),
        ({"limit": "1"}, False),
        ({"sizes": [1, 2]}, True),
        ({"sizes": 1}, False),
    ],
)
def test_build_checks_types(values: dict, fits: bool) -> None:
    if fits:
        assert build(Example, values, "x") == Example(**values)
    else:
        with pytest.raises(FalldetError, match=rf"x\.{next(iter(values))} = .* has the wrong type; it must be"):
            build(Example, values, "x")
