"""Settings files: plain dicts in a .py file, read as literals and never run, turned into frozen dataclasses.

The files have MMEngine's look (`tracker = dict(...)`), so one style serves both sides, but the live side reads them
without MMEngine and nothing in them can run as code.
"""

from __future__ import annotations

import ast
import dataclasses
import difflib
import math
import typing
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, TypeVar

from falldet.errors import FalldetError

SettingsType = TypeVar("SettingsType")


def read_settings(path: str | Path, overrides: Iterable[str] = ()) -> dict[str, Any]:
    """Return the assignments of a settings file as a dict.

    Args:
        path: a .py file of assignments whose values are literals or `dict(...)` of literals.
        overrides: `key.sub=value` strings that replace single numbers, as in MMEngine's `--cfg-options`.

    Raises:
        FalldetError: the file is missing, holds anything but literals, or an override names an unknown key.
    """
    path = Path(path)
    try:
        tree = ast.parse(path.read_text(encoding="utf-8"), filename=str(path))
    except FileNotFoundError:
        raise FalldetError(f"no settings file {path}; give an existing one with --config") from None
    except (SyntaxError, ValueError, OSError) as error:
        raise FalldetError(f"{path} is not a settings file: {error}") from None
    except (MemoryError, RecursionError):
        raise FalldetError(f"{path} is not a settings file: it is nested too deep") from None
    settings: dict[str, Any] = {}
    for statement in tree.body:
        if isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant):
            continue  # a docstring
        if not (
            isinstance(statement, ast.Assign)
            and len(statement.targets) == 1
            and isinstance(statement.targets[0], ast.Name)
        ):
            raise FalldetError(f"{path}:{statement.lineno}: only `name = value` may stand in a settings file")
        settings[statement.targets[0].id] = _literal(statement.value, path)
    for override in overrides:
        _override(settings, override)
    return settings


def build(cls: type[SettingsType], values: Mapping[str, Any], where: str) -> SettingsType:
    """Return the dataclass `cls` made from `values`.

    Raises:
        FalldetError: a key is unknown (the nearest known one is named), or a value has the wrong type.
    """
    kinds = typing.get_type_hints(cls)
    known = {f.name: kinds[f.name] for f in dataclasses.fields(cls)}  # type: ignore[arg-type]
    for key, value in values.items():
        if key not in known:
            raise FalldetError(unknown_key(f"{where}.{key}", key, known))
        if not _fits(value, known[key]):
            raise FalldetError(f"{where}.{key} = {value!r} has the wrong type; it must be {_name(known[key])}")
        if isinstance(value, float) and not math.isfinite(value):
            raise FalldetError(f"{where}.{key} = {value!r} must be a finite number")
    try:
        return cls(**values)
    except (ValueError, TypeError) as error:
        raise FalldetError(f"{where}: {error}") from None


def unknown_key(full_name: str, key: str, known: Iterable[str]) -> str:
    """Return the sentence that says `full_name` is unknown and which known key is the nearest."""
    names = sorted(known)
    if not names:
        return f"unknown setting {full_name}; there is no setting to be had there"
    near = difflib.get_close_matches(key, names, n=1, cutoff=0.0)
    return f"unknown setting {full_name}; did you mean {near[0]!r}? known here: {', '.join(names)}"


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
    raise FalldetError(f"{path}:{node.lineno}: only numbers, strings, lists and dict(...) may stand in a settings file")


def _override(settings: dict[str, Any], override: str) -> None:
    name, equals, text = override.partition("=")
    if not equals:
        raise FalldetError(f"--cfg-options takes key=value, got {override!r}")
    *groups, last = name.split(".")
    target = settings
    for group in groups:
        inner = target.get(group)
        if not isinstance(inner, dict):
            raise FalldetError(unknown_key(name, group, [k for k, v in target.items() if isinstance(v, dict)]))
        target = inner
    if not groups and last not in target:
        raise FalldetError(unknown_key(name, last, target))
    try:
        target[last] = ast.literal_eval(text)
    except (ValueError, TypeError, SyntaxError, MemoryError, RecursionError):
        target[last] = text


def _fits(value: Any, kind: Any) -> bool:
    if typing.get_origin(kind) is typing.Literal:
        return value in typing.get_args(kind)
    options = typing.get_args(kind) if typing.get_origin(kind) in (typing.Union, type(int | str)) else (kind,)
    for option in options:
        base = typing.get_origin(option) or option
        if base is float and isinstance(value, int | float) and not isinstance(value, bool):
            return True
        if base is int and isinstance(value, bool):
            continue
        if base in (tuple, list) and isinstance(value, list | tuple):
            return True
        if isinstance(base, type) and isinstance(value, base):
            return True
    return False


def _name(kind: Any) -> str:
    if typing.get_origin(kind) is typing.Literal:
        return "one of " + ", ".join(repr(option) for option in typing.get_args(kind))
    return getattr(kind, "__name__", str(kind))
