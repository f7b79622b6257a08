"""Configuration files and overrides: TOML in, frozen dataclasses out, errors that name the nearest known key."""

from __future__ import annotations

import ast
import dataclasses
import difflib
import math
import tomllib
import typing
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, TypeVar

from falldet.errors import FalldetError
from falldet.terminal import printable, shown

SettingsType = TypeVar("SettingsType")


MAX_BYTES = 1 << 20
"""Size of the largest configuration that is read."""


def read_toml(path: str | Path) -> dict[str, Any]:
    """Return the contents of a TOML file; raises FalldetError where it is missing, no TOML or an old .py file."""
    path = Path(path)
    if path.suffix == ".py":
        raise FalldetError(
            f"{path} is a Python file, and the pipeline is configured in TOML; "
            "write one with `falldet config > my.toml` and set your values there"
        )
    try:
        if path.exists() and not path.is_file():
            raise FalldetError(f"{path} can't be read as TOML: it is no file; give an existing one with --config")
        if path.stat().st_size > MAX_BYTES:
            raise FalldetError(f"{path} has more than {MAX_BYTES >> 20} MiB, too much for a configuration")
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise FalldetError(f"no config {path}; give an existing TOML file with --config") from None
    except (ValueError, OSError) as error:
        raise FalldetError(f"{path} can't be read as TOML: {printable(str(error)[:200])}") from None
    except RecursionError:
        raise FalldetError(f"{path} can't be read as TOML: it is nested too deep") from None


def parse_override(override: str) -> tuple[str, Any]:
    """Return the name and the value of a `group.key=value` string, as in MMEngine's `--cfg-options`.

    A value is a Python literal (number, list, quoted string, None) or `true` or `false`; anything else is a string.

    Raises:
        FalldetError: there is no "=".
    """
    name, equals, text = override.partition("=")
    if not equals:
        raise FalldetError(f"--cfg-options takes key=value, got {shown(override)}")
    if text in ("true", "false"):
        return name, text == "true"
    try:
        return name, ast.literal_eval(text)
    except (ValueError, TypeError, SyntaxError, MemoryError, RecursionError):
        return name, text


def place_of(name: str, config: Any) -> tuple[Any, str | int]:
    """Return the mapping or list of `config` that holds `name`, and the key or index there.

    A group takes new keys, so that a value without a default can be set; the top level and lists take none.

    Args:
        name: keys joined by dots; an element of a list is named by its index.
        config: nested mappings and lists.

    Raises:
        FalldetError: `config` has no such place.
    """
    *groups, last = name.split(".")
    target = config
    for group in groups:
        inner = _member(target, group)
        if not isinstance(inner, Mapping | list):
            known = [key for key in _keys(target) if isinstance(_member(target, key), Mapping | list)]
            raise FalldetError(unknown_key(name, group, known))
        target = inner
    if (target is config or isinstance(target, list)) and last not in _keys(target):
        raise FalldetError(unknown_key(name, last, _keys(target)))
    return target, int(last) if isinstance(target, list) else last


def override(config: Any, overrides: Iterable[str]) -> None:
    """Replace values of `config`, nested mappings and lists, by `group.key=value` strings, in order.

    Raises:
        FalldetError: an override has no "=" or no place in `config`.
    """
    for text in overrides:
        name, value = parse_override(text)
        target, key = place_of(name, config)
        target[key] = value


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
            right = _type_name(known[key])
            raise FalldetError(f"{where}.{key} = {shown(value)} has the wrong type; it must be {right}")
        if isinstance(value, float) and not math.isfinite(value):
            raise FalldetError(f"{where}.{key} = {shown(value)} must be a finite number")
    try:
        return cls(**values)
    except (ValueError, TypeError) as error:
        raise FalldetError(f"{where}: {printable(str(error)[:300])}") from None


def unknown_key(full_name: str, key: str, known: Iterable[str]) -> str:
    """Return the sentence that says `full_name` is unknown and which known key is the nearest."""
    names = sorted(known)
    if not names:
        return f"unknown setting {printable(full_name[:120])}; its parent has no settings"
    near = difflib.get_close_matches(key[:40], names, n=1, cutoff=0.0)
    known_here = ", ".join(map(printable, names[:40]))
    return f"unknown setting {printable(full_name[:120])}; did you mean {shown(near[0])}? known here: {known_here}"


def _member(target: Any, key: str) -> Any:
    if isinstance(target, list):
        return target[int(key)] if key in _keys(target) else None
    return target.get(key)


def _keys(target: Any) -> list[str]:
    return [str(i) for i in range(len(target))] if isinstance(target, list) else [str(key) for key in target]


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


def _type_name(kind: Any) -> str:
    if typing.get_origin(kind) is typing.Literal:
        return "one of " + ", ".join(repr(option) for option in typing.get_args(kind))
    return getattr(kind, "__name__", str(kind))
