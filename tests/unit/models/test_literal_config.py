"""read_literal_config: literals are read, nothing else is, and nothing runs."""

from __future__ import annotations

from pathlib import Path

import pytest

from falldet.errors import FalldetError
from falldet.models.literal_config import read_literal_config


@pytest.fixture
def write(tmp_path: Path):
    def write(text: str) -> Path:
        path = tmp_path / "config.py"
        path.write_text(text, encoding="utf-8")
        return path

    return write


def test_read_literal_config_reads_literals_and_dicts_of_literals(write) -> None:
    path = write(
        '"""What it is."""\na = dict(x=1, y=-2.5, z=dict(w="s"), l=[1, (2, 3)], n=None, b=True)\nc = {"k": 1e-3}\n'
    )
    assert read_literal_config(path) == {
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
def test_read_literal_config_refuses_anything_else_and_does_not_run_it(write, tmp_path: Path, text: str) -> None:
    mark = tmp_path / "was_run"
    path = write("a = 1\n" + text.format(mark=mark) + "\n")
    with pytest.raises(FalldetError, match=r"config\.py:\d+: only ") as caught:
        read_literal_config(path)
    assert ":2:" in str(caught.value) or ":3:" in str(caught.value)
    assert not mark.exists()


@pytest.mark.parametrize(
    ("contents", "message"),
    [
        (b"x = (", "is not a config of literals"),
        (b"x = 1\n  y = 2\n", "is not a config of literals"),
        (b"\xff\xfe\x00x", "is not a config of literals"),
        (b"x = 1\x00", "is not a config of literals"),
        (b"x = " + b"(" * 500 + b")" * 500, "is not a config of literals"),
        (b"x = " + b"-" * 20_000 + b"1", "config"),
        (b"x = {[]: 1}", "only numbers"),
        (b"x = {1, []}", "only numbers"),
    ],
    ids=["cut", "indent", "encoding", "zero byte", "too deep", "far too deep", "unhashable key", "unhashable item"],
)
def test_read_literal_config_tells_of_a_broken_file_in_a_sentence(
    tmp_path: Path, contents: bytes, message: str
) -> None:
    path = tmp_path / "broken.py"
    path.write_bytes(contents)
    with pytest.raises(FalldetError, match=message):
        read_literal_config(path)


def test_read_literal_config_names_a_missing_file_or_folder(tmp_path: Path) -> None:
    with pytest.raises(FalldetError, match=r"no config .*none\.py; name an existing one"):
        read_literal_config(tmp_path / "none.py")
    with pytest.raises(FalldetError, match="no config"):
        read_literal_config(tmp_path)
