"""The house rules of imports: only downward, and torch and OpenMMLab only under falldet/openmmlab."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = ROOT / "falldet"

LAYERS = [
    "types",
    "errors",
    "skeleton",
    "terminal",
    "geometry",
    "config",
    "io",
    "models",
    "pose",
    "stages",
    "data",
    "visualization",
    "openmmlab",
    "build",
    "pipeline",
    "runtime",
    "extraction",
    "evaluation",
    "live",
    "profiling",
    "synthetic",
    "cli",
]
"""The parts of falldet/, low to high: a part imports itself and what stands before it."""

HEAVY = {"torch", "torchvision", "mmengine", "mmcv", "mmdet", "mmpose", "mmaction"}
MAY_LOAD_OPENMMLAB_IN_A_FUNCTION = {"build"}

TELEMETRY = {"openvino", "nncf", "openvino_telemetry"}
MAY_IMPORT_OPENVINO = {"falldet/models/openvino.py": "openvino", "falldet/pose/quantize.py": "nncf"}
"""The one place of each import: OpenVINO's comes after telemetry is off, and NNCF's after OpenVINO's."""


class Edge(NamedTuple):
    """One import: the importing part, the imported module, the line, and whether it runs when the module is loaded."""

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
    """The rule that an import breaks, or None."""
    top = edge.imported.split(".")[0]
    if top in HEAVY and edge.part != "openmmlab":
        return f"{edge.place} imports {edge.imported}; only falldet/openmmlab may"
    if top in TELEMETRY and MAY_IMPORT_OPENVINO.get(edge.place.rpartition(":")[0]) != top:
        return f"{edge.place} imports {top}; take it from falldet.models.openvino, which keeps telemetry off"
    if top != "falldet" or edge.part == "":
        return None
    target = part_of(edge.imported)
    if target not in LAYERS:
        return None  # a name of falldet/__init__.py, such as __version__
    if target == "openmmlab" != edge.part and (edge.at_load or edge.part not in MAY_LOAD_OPENMMLAB_IN_A_FUNCTION):
        return f"{edge.place} imports {edge.imported}; only build may, inside a function"
    if LAYERS.index(target) > LAYERS.index(edge.part):
        return f"{edge.place}: {edge.part} imports {target}, which stands above it"
    return None


def test_layers_name_every_part() -> None:
    parts = {part_of(module_name(path)) for path in PACKAGE.rglob("*.py")} - {""}
    assert not parts - set(LAYERS), "give the new part its place in LAYERS of tests/unit/test_layers.py"


def test_layers_research_examples_and_tools_import_openvino_from_falldet() -> None:
    paths = [path for folder in ("research", "examples", "tools") for path in (ROOT / folder).rglob("*.py")]
    faults = [
        fault(edge) for path in sorted(paths) for edge in edges_of(path) if edge.imported.split(".")[0] in TELEMETRY
    ]
    assert not faults


def test_layers_imports_point_down() -> None:
    faults = [fault(edge) for path in sorted(PACKAGE.rglob("*.py")) for edge in edges_of(path)]
    assert not [text for text in faults if text]


@pytest.mark.parametrize(
    ("path", "source", "message"),
    [
        ("falldet/types.py", "from falldet.io.video import read_frames", "stands above"),
        ("falldet/types.py", "from falldet import io", "stands above"),
        ("falldet/stages/tracking.py", "def f():\n    import falldet.pipeline", "stands above"),
        ("falldet/pose/movenet.py", "from ..stages.tracking import PoseTracker", "stands above"),
        ("falldet/io/video.py", "import torch.nn", "only falldet/openmmlab may"),
        ("falldet/stages/recognizer.py", "def f():\n    from mmengine import Config", "only falldet/openmmlab may"),
        ("falldet/build.py", "from falldet.openmmlab import export", "inside a function"),
        ("falldet/pose/movenet.py", "import openvino", "telemetry"),
        ("falldet/pose/movenet.py", "def f():\n    from openvino import opset13", "telemetry"),
        ("falldet/build.py", "def f():\n    import nncf", "telemetry"),
        ("falldet/cli/train.py", "def f():\n    from falldet.openmmlab import export", "only build may"),
        ("falldet/openmmlab/export.py", "from falldet.pipeline.detector import FallDetector", "stands above"),
    ],
)
def test_fault_names_a_wrong_import(path: str, source: str, message: str) -> None:
    (edge,) = edges_of(ROOT / path, source)
    assert message in (fault(edge) or "")


@pytest.mark.parametrize(
    ("path", "source"),
    [
        ("falldet/build.py", "def f():\n    from falldet.openmmlab import export"),
        ("falldet/pose/movenet.py", "from .source import PoseSource"),
        ("falldet/pipeline/detector.py", "from falldet import __version__, io"),
        ("falldet/openmmlab/export.py", "import torch"),
    ],
)
def test_fault_accepts_an_allowed_import(path: str, source: str) -> None:
    assert [fault(edge) for edge in edges_of(ROOT / path, source)] == [None] * len(list(edges_of(ROOT / path, source)))


def test_falldet_without_openmmlab_loads_neither_torch_nor_openmmlab() -> None:
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
