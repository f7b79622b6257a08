"""The configuration as text: a TOML file with a comment at every value, and a Markdown table for the documentation.

Comments come from the docstrings of the dataclasses, so that neither can drift from the code. A docstring says what a
value is and, after "Higher: " or "Lower: ", what changes when it rises or falls.
"""

from __future__ import annotations

import dataclasses
import inspect
import json
import re
import textwrap
import typing
from typing import Any

from falldet.pipeline.config import Config

HEADER = """\
Run-time configuration of falldet: every setting with its default, as `falldet config` prints it.
A file of your own needs only the values that differ: falldet demo video.mp4 --config my.toml
Any value for one run: falldet demo video.mp4 --cfg-options events.alert_threshold=0.9"""

COMMENT_WIDTH = 100

UNITS = {
    "box_scale": "box lengths",
    "det_interval": "frames",
    "evidence_windows": "windows",
    "input_size": "px",
    "max_people": "people",
    "max_undetected_frames": "frames",
    "min_hits": "frames",
    "motion_threshold": "box lengths per s",
    "reassoc_max_ratio": "ratio",
    "reassoc_radius": "box lengths",
    "reassoc_speed": "box lengths per s",
    "threads": "threads",
}
"""Units of settings whose names don't end in one; any other number lies between 0 and 1."""

_EFFECT = re.compile(r"\b(Higher|Lower): ")


def as_toml(config: Config) -> str:
    """Return `config` as a TOML file with every value and its comment."""
    titles = attribute_docs(Config)
    parts = [_comment(HEADER)]
    for name, values in config.groups().items():
        docs = attribute_docs(type(getattr(config, name)))
        lines = [_comment(_capitalized(titles[name])), f"[{name}]"]
        for key, value in values.items():
            lines += [_comment(_capitalized(docs[key])), f"{key} = {_toml_value(value)}"]
        parts.append("\n".join(lines))
    return "\n\n".join(parts) + "\n"


def as_markdown() -> str:
    """Return a Markdown page section a group, with a table of name, default, unit, meaning and effect."""
    config, titles = Config(), attribute_docs(Config)
    parts = []
    for name, values in config.groups().items():
        settings = type(getattr(config, name))
        docs, kinds = attribute_docs(settings), typing.get_type_hints(settings)
        lines = [f"## {name}", "", f"{_capitalized(titles[name])}", ""]
        lines += ["| setting | default | unit | what it is | when it rises |", "|---|---|---|---|---|"]
        for key, value in values.items():
            meaning, effect = split_effect(docs[key])
            cells = (f"`{name}.{key}`", f"`{_toml_value(value)}`", unit_of(key, kinds[key]), meaning, effect)
            lines.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
        parts.append("\n".join(lines))
    return "\n\n".join(parts) + "\n"


def attribute_docs(cls: type) -> dict[str, str]:
    """Return what the "Attributes:" section of a dataclass's docstring says of each field, in one line each.

    Raises:
        ValueError: a field is not described.
    """
    section = inspect.cleandoc(cls.__doc__ or "").partition("Attributes:\n")[2]
    docs: dict[str, str] = {}
    name = ""
    for line in textwrap.dedent(section.partition("\n\n")[0]).splitlines():
        if not line.startswith(" "):
            name, _, line = line.partition(":")
            docs[name] = ""
        docs[name] = f"{docs[name]} {line.strip()}".strip()
    missing = [field.name for field in dataclasses.fields(cls) if not docs.get(field.name)]
    if missing:
        raise ValueError(f"{cls.__name__}'s docstring does not describe {', '.join(missing)}")
    return docs


def split_effect(text: str) -> tuple[str, str]:
    """Return what a setting is, and what changes when it rises; the latter is empty where no number can rise."""
    found = _EFFECT.search(text)
    if found is None:
        return _capitalized(text), ""
    effect = text[found.end() :]
    return _capitalized(text[: found.start()].strip()), effect if found[1] == "Higher" else f"(when lower) {effect}"


def unit_of(key: str, kind: Any) -> str:
    """Return the unit of a setting, by its name and type; empty where it is no number."""
    if key in UNITS:
        return UNITS[key]
    if kind is not float:
        return ""
    return "per s" if key.endswith("_fps") else "s" if key.endswith("_s") else "0 to 1"


def _capitalized(text: str) -> str:
    return text[:1].upper() + text[1:]


def _comment(text: str) -> str:
    lines = [wrapped for line in text.splitlines() for wrapped in textwrap.wrap(line, COMMENT_WIDTH - 2)]
    return "\n".join(f"# {line}" for line in lines)


def _toml_value(value: Any) -> str:
    if isinstance(value, list):
        return f"[{', '.join(_toml_value(item) for item in value)}]"
    return json.dumps(value, ensure_ascii=False)  # of numbers, booleans and strings TOML's notation is JSON's
