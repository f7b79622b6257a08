"""Settings files: literals only, every mistake named with the nearest right word."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

import pytest

from falldet.config import build, read_settings
from falldet.errors import FalldetError
from falldet.pipeline.detector import Settings

DEMO = Path(__file__).resolve().parents[2] / "configs" / "demo.py"


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


@pytest.fixture
def write(tmp_path: Path):
    def write(text: str) -> Path:
        path = tmp_path / "settings.py"
        path.write_text(text, encoding="utf-8")
        return path

    return write


def test_literals_and_dicts_of_literals_are_read(write) -> None:
    path = write(
        '"""What it is."""\na = dict(x=1, y=-2.5, z=dict(w="s"), l=[1, (2, 3)], n=None, b=True)\nc = {"k": 1e-3}\n'
    )
    assert read_settings(path) == {
        "a": {"x": 1, "y": -2.5, "z": {"w": "s"}, "l": [1, [2, 3]], "n": None, "b": True},
        "c": {"k": 1e-3},
    }


@pytest.mark.parametrize(
    "text",
    [
        "import os",
        "from pathlib import Path",
        "open('{mark}', 'w')",
        "x = open('{mark}', 'w')",
        "x = dict(y=open('{mark}', 'w'))",
        "x = [open('{mark}', 'w')]",
        "x = {{'y': open('{mark}', 'w')}}",
        "x = __import__('os').system('touch {mark}')",
        "x = dict.fromkeys([1])",
        "x = (1).real",
        "x = y",
        "x = dict([('y', 1)])",
        "x = dict(**{{'y': 1}})",
        "x = {{**{{'y': 1}}}}",
        "x = f'{{open(1)}}'",
        "x = [i for i in (1, 2)]",
        "x = lambda: 1",
        "x = 1 if True else 2",
        "x = 2 * 3",
        "x: int = 1",
        "x = y = 1",
        "x, y = 1, 2",
        "x.y = 1",
        "x += 1",
        "def f(): pass",
        "class A: pass",
        "if True:\n    x = 1",
        "for x in (1, 2): pass",
        "assert open('{mark}', 'w')",
        "del x",
        "@open('{mark}', 'w')\ndef f(): pass",
    ],
)
def test_anything_but_literals_is_refused_and_not_run(write, tmp_path: Path, text: str) -> None:
    mark = tmp_path / "was_run"
    path = write("a = 1\n" + text.format(mark=mark) + "\n")
    with pytest.raises(FalldetError, match=r"settings\.py:\d+: only ") as caught:
        read_settings(path)
    assert ":2:" in str(caught.value) or ":3:" in str(caught.value)
    assert not mark.exists()


@pytest.mark.parametrize(
    ("contents", "message"),
    [
        (b"x = (", "is not a settings file"),
        (b"x = 1\n  y = 2\n", "is not a settings file"),
        (b"\xff\xfe\x00x", "is not a settings file"),
        (b"x = 1\x00", "is not a settings file"),
        (b"x = " + b"(" * 500 + b")" * 500, "is not a settings file"),
        (b"x = " + b"-" * 20_000 + b"1", "settings"),
        (b"x = {[]: 1}", "settings file"),
        (b"x = {1, []}", "settings file"),
    ],
    ids=["cut", "indent", "encoding", "zero byte", "too deep", "far too deep", "unhashable key", "unhashable item"],
)
def test_a_broken_file_is_told_in_a_sentence(tmp_path: Path, contents: bytes, message: str) -> None:
    path = tmp_path / "broken.py"
    path.write_bytes(contents)
    with pytest.raises(FalldetError, match=message):
        read_settings(path)


def test_missing_file_and_folder(tmp_path: Path) -> None:
    with pytest.raises(FalldetError, match=r"no settings file .*none\.py; give an existing one"):
        read_settings(tmp_path / "none.py")
    with pytest.raises(FalldetError, match="is not a settings file"):
        read_settings(tmp_path)


@pytest.mark.parametrize(
    ("override", "expected"),
    [
        ("a.x=2", 2),
        ("a.x=-0.5", -0.5),
        ("a.x=word", "word"),
        ("a.x='quoted'", "quoted"),
        ("a.x=[1,2]", [1, 2]),
        ("a.x=None", None),
        ("a.x=k=v", "k=v"),
        ("a.x=", ""),
    ],
)
def test_overrides_replace_single_values(write, override: str, expected: object) -> None:
    assert read_settings(write("a = dict(x=1, y=2)"), [override]) == {"a": {"x": expected, "y": 2}}


def test_the_last_override_wins_and_new_keys_of_a_group_are_left_to_build(write) -> None:
    path = write("a = dict(x=1)")
    assert read_settings(path, ["a.x=2", "a.x=3", "a.z=4"]) == {"a": {"x": 3, "z": 4}}


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("a.x", "takes key=value, got 'a.x'"),
        ("evnts.alert_threshold=1", "unknown setting evnts.alert_threshold; did you mean 'events'"),
        ("event=1", "unknown setting event; did you mean 'events'"),
        ("events.alert_threshold.deep=1", "unknown setting events.alert_threshold.deep"),
        ("=1", "unknown setting"),
        ("a.x.y=1", r"unknown setting a\.x\.y; there is no setting to be had there"),
    ],
)
def test_a_wrong_override_is_named(write, override: str, message: str) -> None:
    with pytest.raises(FalldetError, match=message):
        read_settings(write("a = dict(x=1)\nevents = dict(alert_threshold=0.5)"), [override])


def test_override_code_is_not_run(write, tmp_path: Path) -> None:
    mark = tmp_path / "was_run"
    text = f"open({str(mark)!r}, 'w')"
    assert read_settings(write("a = dict(x=1)"), [f"a.x={text}"]) == {"a": {"x": text}}
    assert not mark.exists()


def test_the_nearest_known_key_is_named() -> None:
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
def test_types_are_checked(values: dict, fits: bool) -> None:
    if fits:
        assert build(Example, values, "x") == Example(**values)
    else:
        with pytest.raises(FalldetError, match=rf"x\.{next(iter(values))} = .* has the wrong type; it must be"):
            build(Example, values, "x")


@pytest.mark.parametrize(
    ("groups", "message"),
    [
        ({"tracker": {"velocity_memory_s": 0}}, "tracker: velocity_memory_s = 0 must be above 0"),
        ({"tracker": {"box_scale": -1.0}}, "tracker: box_scale"),
        ({"trackr": {}}, "unknown setting trackr; did you mean 'tracker'"),
        ({"tracker": 3}, "tracker must be a group"),
        ({"tracker": {"gate_uoi": 1.0}}, "did you mean 'min_iou'"),
        ({"fusion": {"rule": "median"}}, "'higher_score', 'mean', 'noisy_or'"),
        ({"fusion": {"latency_s": 9.0}}, r"fusion: latency_s = 9\.0 must lie between"),
        ({"events": {"low_threshold": 0.99}}, "events: low_threshold"),
        ({"windows": {"stride_s": 0}}, "windows: stride_s"),
        ({"movenet": {"input_size": 250}}, "multiple of 32"),
    ],
)
def test_wrong_groups_are_named(groups: dict, message: str) -> None:
    with pytest.raises(FalldetError, match=message):
        Settings.from_groups(groups)


@pytest.mark.parametrize(
    "override",
    ["events.alert_threshold=1e999", "windows.length_s=1e999", "windows.length_s=-1e999"],
)
def test_numbers_that_are_not_finite_are_refused(override: str) -> None:
    with pytest.raises(FalldetError, match=rf"{override.split('=')[0]} = .*finite"):
        Settings.from_groups(read_settings(DEMO, [override]))


def test_the_shipped_file_names_every_setting_and_builds() -> None:
    groups = read_settings(DEMO)
    settings = Settings.from_groups(groups)
    assert set(groups) == set(Settings.__dataclass_fields__)
    for name, values in groups.items():
        assert set(values) == set(asdict(getattr(settings, name))), f"{name} in configs/demo.py leaves a setting out"
    assert settings == Settings(), "configs/demo.py and the defaults differ"
