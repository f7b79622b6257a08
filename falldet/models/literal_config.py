"""MMEngine configs read as literals: nothing in the file runs, and MMEngine is not needed."""

from __future__ import annotations

import ast
from pathlib import Path
from typing import Any

from falldet.errors import FalldetError


def read_literal_config(path: str | Path) -> dict[str, Any]:
    """Return the assignments of a Python config as a dict.

    Args:
        path: a .py file of assignments whose values are literals or `dict(...)` of literals.

    Raises:
        FalldetError: the file is missing or holds anything but literals.
    """
    path = Path(path)
    try:
        tree = ast.parse(path.read_text(encoding="utf-8"), filename=str(path))
    except FileNotFoundError:
        raise FalldetError(f"no config {path}; name an existing one") from None
    except (SyntaxError, ValueError, OSError) as error:
        raise FalldetError(f"{path} is not a config of literals: {error}") from None
    except (MemoryError, RecursionError):
        raise FalldetError(f"{path} is not a config of literals: it is nested too deep") from None
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
