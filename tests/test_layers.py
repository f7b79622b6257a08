"""The house rules of imports: only downward, and torch and OpenMMLab only under falldet/openmmlab."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "falldet"

LEVELS = {
    0: "errors types skeleton geometry settings cli files posture restricted_pickle partial_files downloads "
    "runtime zones",
    1: "video annotations manifest fallvision model_zoo checkpoints scenes draw plots pose overlap",
    2: "pace tracking windows fusion events recogniser",
    3: "pipeline extract matching figures evaluation diagnosis hard_negatives workers report markdown demo openmmlab "
    "cameras benchmark",
    4: "live",
}
LEVEL = {name: level for level, names in LEVELS.items() for name in names.split()}
HEAVY = {"torch", "torchvision", "mmengine", "mmcv", "mmdet", "mmpose", "mmaction"}
MAY_LOAD_OPENMMLAB_IN_A_FUNCTION = {"pose", "recogniser"}


class Edge(NamedTuple):
    """One import: who, what, where, and whether it runs when the module is loaded."""

    part: str
    imported: str
    place: str
    at_load: bool


def part_of(module: str) -> str:
    """`falldet.pose.movenet` -> `pose`; `falldet` itself -> an empty string."""
    return [*module.split("."), ""][1]


def module_name(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def edges_of(path: Path, source: str | None = None) -> Iterator[Edge]:
    tree = ast.parse(path.read_text(encoding="utf-8") if source is None else source)
    module = module_name(path)
    package = module if path.name == "__init__.py" else module.rpartition(".")[0]
    within = {
        id(inner)
        for outer in ast.walk(tree)
        if isinstance(outer, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
        for inner in ast.walk(outer)
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                base = ".".join(
                    [*package.split(".")[: len(package.split(".")) - node.level + 1], *filter(None, [base])]
                )
            names = [f"{base}.{alias.name}" for alias in node.names] if base == "falldet" else [base]
        else:
            continue
        for name in names:
            yield Edge(part_of(module), name, f"{path.relative_to(ROOT)}:{node.lineno}", id(node) not in within)


def fault(edge: Edge) -> str | None:
    """What is wrong with an import, or None."""
    top = edge.imported.split(".")[0]
    if top in HEAVY and edge.part != "openmmlab":
        return f"{edge.place} imports {edge.imported}; only falldet/openmmlab may"
    if top != "falldet" or edge.part == "":
        return None
    target = part_of(edge.imported)
    if target not in LEVEL:
        return None  # a name of falldet/__init__.py, such as __version__
    if target == "openmmlab" != edge.part:
        if edge.at_load or edge.part not in MAY_LOAD_OPENMMLAB_IN_A_FUNCTION:
            return f"{edge.place} imports {edge.imported}; only pose and recogniser may, inside a function"
        return None
    if edge.part == "openmmlab" != target and LEVEL[target] > 2:
        return f"{edge.place}: openmmlab imports {edge.imported}; it may use levels 0 to 2"
    if LEVEL[target] > LEVEL[edge.part]:
        return f"{edge.place}: {edge.part} (level {LEVEL[edge.part]}) imports {target} (level {LEVEL[target]}), upward"
    return None


def test_every_module_has_a_level() -> None:
    parts = {part_of(module_name(path)) for path in PACKAGE.rglob("*.py")} - {""}
    assert not parts - set(LEVEL), "give the new module its level in LEVELS of tests/test_layers.py"


def test_imports_point_downward() -> None:
    faults = [fault(edge) for path in sorted(PACKAGE.rglob("*.py")) for edge in edges_of(path)]
    assert not [text for text in faults if text]


@pytest.mark.parametrize(
    ("path", "source", "message"),
    [
        ("falldet/types.py", "from falldet.video import read_frames", "upward"),
        ("falldet/types.py", "from falldet import video", "upward"),
        ("falldet/tracking.py", "def f():\n    import falldet.pipeline", "upward"),
        ("falldet/pose/movenet.py", "from ..tracking import PoseTracker", "upward"),
        ("falldet/video.py", "import torch.nn", "only falldet/openmmlab may"),
        ("falldet/recogniser.py", "def f():\n    from mmengine.config import Config", "only falldet/openmmlab may"),
        ("falldet/recogniser.py", "from falldet.openmmlab import export", "inside a function"),
        ("falldet/draw.py", "def f():\n    from falldet.openmmlab import export", "only pose and recogniser"),
        ("falldet/openmmlab/export.py", "from falldet.pipeline import Pipeline", "levels 0 to 2"),
    ],
)
def test_a_wrong_import_is_seen(path: str, source: str, message: str) -> None:
    (edge,) = edges_of(ROOT / path, source)
    assert message in (fault(edge) or "")


@pytest.mark.parametrize(
    ("path", "source"),
    [
        ("falldet/recogniser.py", "def f():\n    from falldet.openmmlab import export"),
        ("falldet/pose/movenet.py", "from .sequence import PoseCache"),
        ("falldet/pipeline.py", "from falldet import __version__, video"),
        ("falldet/openmmlab/export.py", "import torch"),
    ],
)
def test_a_right_import_is_let_through(path: str, source: str) -> None:
    assert [fault(edge) for edge in edges_of(ROOT / path, source)] == [None] * len(list(edges_of(ROOT / path, source)))


def test_the_live_side_loads_neither_torch_nor_openmmlab() -> None:
    modules = [module_name(path) for path in sorted(PACKAGE.rglob("*.py")) if path.name != "__main__.py"]
    live = [module for module in modules if part_of(module) != "openmmlab"]
    code = (
        "import importlib, sys\n"
        f"for name in {live!r}:\n"
        "    importlib.import_module(name)\n"
        f"    heavy = sorted({HEAVY | {'nncf'}!r} & {{module.split('.')[0] for module in sys.modules}})\n"
        "    assert not heavy, f'importing {name} loads {heavy}'\n"
    )
    result = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
