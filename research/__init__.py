"""Studies of falldet: `python -m research.ROOM.STUDY`, run in the repository; README.md has the table."""

from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
CONFIGS = ROOT / "configs"
WORK_DIRS = ROOT / "work_dirs"
RESULTS = ROOT / "research" / "results"
"""What studies measured, as JSON."""
PAGES = ROOT / "docs" / "benchmarks"
"""The pages that studies write."""
