"""The command line: `falldet COMMAND ...`, one module a command.

A command's module has a docstring, whose first line is its help, `EXAMPLES`, `add_arguments(parser)` and
`run(arguments)`, which returns the exit code. The modules load quickly: what is heavy is imported inside `run`.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from types import ModuleType
from typing import Any, NoReturn

from falldet import __version__
from falldet.cli import (
    benchmark,
    config,
    demo,
    evaluate,
    export,
    extract,
    live,
    process,
    sample,
    test,
    train,
)
from falldet.terminal import printable

COMMANDS: dict[str, ModuleType] = {
    "demo": demo,
    "extract": extract,
    "train": train,
    "test": test,
    "evaluate": evaluate,
    "export": export,
    "benchmark": benchmark,
    "config": config,
    "live": live,
    "sample": sample,
}


class Parser(argparse.ArgumentParser):
    """Shows what was typed, which may be the names of others' files, without escape sequences."""

    def _print_message(self, message: str, file: Any = None) -> None:
        super()._print_message(printable(message or "", keep="\n"), file)


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Run the command that `arguments` name, the process's own if None, and leave the process with its exit code."""
    parsed = make_parser().parse_args(arguments)
    process.run(lambda: COMMANDS[parsed.command].run(parsed))


def run_tool(command: str) -> NoReturn:
    """Run one command with the process's own arguments, as tools/*.py do."""
    parser = Parser(**_texts(command))
    COMMANDS[command].add_arguments(parser)
    parsed = parser.parse_args()
    process.run(lambda: COMMANDS[command].run(parsed))


def make_parser() -> argparse.ArgumentParser:
    """Return the parser of all commands."""
    parser = Parser("falldet", description="From raw video to a trained, measured fall detector.")
    parser.add_argument("--version", action="version", version=f"falldet {__version__}")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    for name, module in COMMANDS.items():
        module.add_arguments(commands.add_parser(name, help=_summary(module), **_texts(name)))
    return parser


def _texts(command: str) -> dict:
    module = COMMANDS[command]
    return {
        "description": _summary(module),
        "epilog": f"examples:\n{module.EXAMPLES}",
        "formatter_class": argparse.RawDescriptionHelpFormatter,
    }


def _summary(module: ModuleType) -> str:
    return (module.__doc__ or "").partition("\n")[0]
