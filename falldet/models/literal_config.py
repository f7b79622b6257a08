"""MMEngine configs read as literals: nothing in the file runs, and MMEngine is not needed."""

from __future__ import annotations

import ast
import warnings
from pathlib import Path
from typing import Any

from falldet.errors import FalldetError

MAX_BYTES = 1 << 20
"""Size of the largest config that is read; those of training runs have some ten thousand bytes."""


def find_config(checkpoint: str | Path) -> Path:
    """Return the one config in the folder of a checkpoint; raises FalldetError for none or more than one."""
    folder = Path(checkpoint).parent
    found = sorted(path for path in folder.glob("*.py") if path.is_file())
    if len(found) != 1:
        names = ", ".join(path.name for path in found[:3]) + ", ..." * (len(found) > 3)
        what = f"{len(found)} configs ({names})" if found else "no config"
        raise FalldetError(
            f"{what} beside {checkpoint}; export it with `python tools/export.py CONFIG {checkpoint}`, which names one"
        )
    return found[0]


def read_literal_config(path: str | Path) -> dict[str, Any]:
    """Return the assignments of a Python config as a dict.

    Args:
        path: a .py file of assignments whose values are literals or `dict(...)` of literals.

    Raises:
        FalldetError: the file is missing, larger than `MAX_BYTES`, or holds anything but literals.
    """
    path = Path(path)
    try:
        return _assignments(path, _parse(path))
    except (MemoryError, RecursionError):
        raise FalldetError(f"{path} is not a config of literals: it is nested too deep") from None


def _parse(path: Path) -> ast.Module:
    if not path.is_file():
        raise FalldetError(f"no config {path}; name an existing one")
    try:
        with path.open("rb") as stream:
            content = stream.read(MAX_BYTES + 1)
    except OSError as error:
        raise FalldetError(f"can't read {path}: {error.strerror}; give a readable config") from None
    if len(content) > MAX_BYTES:
        raise FalldetError(f"{path} is not a config: it has more than {MAX_BYTES >> 20} MiB")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of the parser: they would show lines of the file
            return ast.parse(content.decode("utf-8"), filename="config")
    except SyntaxError as error:
        raise FalldetError(f"{path} is not a config of literals: {error.msg}, line {error.lineno}") from None
    except ValueError:
        raise FalldetError(f"{path} is not a config of literals: it is no text in UTF-8") from None


def _assignments(path: Path, tree: ast.Module) -> dict[str, Any]:
    content: dict[str, Any] = {}
    for statement in tree.body:
        if isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant):
            continue  # a docstring
        if not (
            isinstance(statement, ast.Assign)
            and len(statement.targets) == 1
            and isinstance(statement.targets[0], ast.Name)
        ):
            raise FalldetError(f"{path}:{statement.lineno}: only `name = value` is read, and nothing is run")
        content[statement.targets[0].id] = _literal(statement.value, path)
    return content


def _literal(node: ast.expr, path: Path) -> Any:
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "dict" and not node.args:
        if all(keyword.arg for keyword in node.keywords):
            return {keyword.arg: _literal(keyword.value, path) for keyword in node.keywords}
    elif isinstance(node, ast.Dict) and all(isinstance(key, ast.Constant) for key in node.keys):
        return {key.value: _literal(value, path) for key, value in zip(node.keys, node.values, strict=True)}  # type: ignore[union-attr]
    elif isinstance(node, ast.List | ast.Tuple):
        return [_literal(item, path) for item in node.elts]
    else:
        try:
            return ast.literal_eval(node)
        except (ValueError, TypeError):
            pass
    raise FalldetError(f"{path}:{node.lineno}: only numbers, strings, lists and dict(...) are read, and nothing is run")
