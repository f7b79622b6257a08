"""Every study runs as a module, and research/README.md lists it."""

from __future__ import annotations

import importlib.util
import runpy
import sys
from pathlib import Path

import pytest

from research import ROOT

OWN_ENVIRONMENT = {"research.peers.neura_events", "research.peers.roboflow_trackers"}
NEED_OPENMMLAB = {"research.speed.random_weights"}


def studies() -> list[str]:
    """The modules of research/ that are commands, but those that run in an environment of their own."""
    files = sorted((ROOT / "research").rglob("*.py"))
    commands = [path for path in files if '__name__ == "__main__"' in path.read_text(encoding="utf-8")]
    return [name for name in map(module_name, commands) if name not in OWN_ENVIRONMENT]


def module_name(path: Path) -> str:
    return ".".join(path.relative_to(ROOT).with_suffix("").parts)


@pytest.mark.parametrize("study", studies())
def test_study_shows_its_help(study: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    if study in NEED_OPENMMLAB:
        pytest.importorskip("mmengine", reason="needs OpenMMLab (`make install`)")
    if study == "research.synthetic_data.readme_picture":
        pytest.importorskip("PIL", reason="needs Pillow")
    monkeypatch.setattr(sys, "argv", [study, "--help"])
    monkeypatch.delitem(sys.modules, study, raising=False)
    with pytest.raises(SystemExit) as left:
        runpy.run_module(study, run_name="__main__")
    assert left.value.code == 0
    assert study in capsys.readouterr().out  # the example


@pytest.mark.parametrize("study", studies())
def test_study_is_listed_and_its_header_has_the_command(study: str) -> None:
    assert f"`{study} " in (readme := (ROOT / "research" / "README.md").read_text()) or f"`{study}`" in readme
    header = Path(importlib.util.find_spec(study).origin).read_text().partition('"""')[2].partition('"""')[0]
    assert f"python -m {study}" in header
