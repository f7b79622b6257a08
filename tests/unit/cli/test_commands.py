"""The commands: their help, their start-up, and the tools that are the same commands."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from falldet.cli import COMMANDS, make_parser

ROOT = Path(__file__).resolve().parents[3]
TOOLS = {
    "demo": "demo",
    "extract_kpts": "extract",
    "train": "train",
    "test": "test",
    "evaluate": "evaluate",
    "export": "export",
    "benchmark": "benchmark",
}
HEAVY = ["numpy", "cv2", "openvino", "av", "torch", "mmengine", "matplotlib", "tqdm"]


@pytest.mark.parametrize("command", COMMANDS)
def test_commands_have_help_with_examples(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as left:
        make_parser().parse_args([command, "--help"])
    shown = capsys.readouterr().out
    assert left.value.code == 0
    assert shown.startswith(f"usage: falldet {command}")
    assert f"examples:\n  falldet {command}" in shown


@pytest.mark.parametrize("command", COMMANDS)
def test_commands_accept_the_arguments_of_their_own_examples(command: str) -> None:
    for line in COMMANDS[command].EXAMPLES.splitlines():
        words = line.partition("#")[0].partition(">")[0].split()
        if words[:1] == ["falldet"]:
            assert make_parser().parse_args(words[1:]).command == words[1]


def test_commands_load_nothing_heavy() -> None:
    code = f"import sys, falldet.cli\nfound = set({HEAVY!r}) & sys.modules.keys()\nassert not found, found\n"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(("tool", "command"), TOOLS.items())
def test_tools_are_the_commands(tool: str, command: str) -> None:
    def options_of(*program: str) -> str:
        done = subprocess.run(
            [sys.executable, *program, "--help"], cwd=ROOT, capture_output=True, text=True, check=True
        )
        return done.stdout.partition("\n\n")[2]

    expected = options_of("-c", "from falldet.cli import main; main()", command)
    assert options_of(f"tools/{tool}.py") == expected


def test_main_names_the_commands_when_there_is_none(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as left:
        make_parser().parse_args([])
    assert left.value.code == 2
    assert "COMMAND" in capsys.readouterr().err
