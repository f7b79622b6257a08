"""What `import falldet` offers, and what it does not load."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

import falldet

ROOT = Path(__file__).resolve().parents[2]
HEAVY = ["torch", "torchvision", "mmengine", "mmcv", "mmdet", "mmpose", "mmaction", "matplotlib"]


def test_falldet_has_its_public_names() -> None:
    names = {"Config", "Event", "EventState", "FallAnalyzer", "FallDetector", "People", "draw_overlay", "read_frames"}
    assert set(falldet.__all__) == names | {"__version__"}
    for name in names:
        assert getattr(falldet, name).__name__ == name
    assert names <= set(dir(falldet))
    assert (Path(falldet.__file__).parent / "py.typed").is_file()
    with pytest.raises(AttributeError, match="no attribute 'Pipeline'"):
        falldet.Pipeline  # noqa: B018


def test_falldet_loads_neither_torch_nor_matplotlib() -> None:
    code = (
        "import sys, falldet\n"
        "assert 'numpy' not in sys.modules, 'import falldet alone should be quick'\n"
        "[getattr(falldet, name) for name in falldet.__all__]\n"
        f"found = {HEAVY!r} & sys.modules.keys()\n"
        "assert not found, found\n"
    ).replace(f"{HEAVY!r} &", f"set({HEAVY!r}) &")
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
