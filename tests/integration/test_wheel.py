"""The wheel in an empty environment outside the checkout, with each Python that this machine has."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
from scene_videos import last_events

ROOT = Path(__file__).resolve().parents[2]
VERSIONS = ("3.11", "3.12", "3.13")

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("pose_model")]


def interpreters() -> dict[str, Path]:
    """Return the Python of each version that this machine has, the running one among them."""
    found = {}
    for version in VERSIONS:
        named = [shutil.which(f"python{version}"), *Path.home().glob(f".pyenv/versions/{version}.*/bin/python")]
        if sys.version_info[:2] == tuple(map(int, version.split("."))):
            named = [sys.executable]
        for candidate in filter(None, named):
            check = [str(candidate), "-c", "import sys, venv, ensurepip; print('%d.%d' % sys.version_info[:2])"]
            done = subprocess.run(check, capture_output=True, text=True, check=False)
            if done.stdout.strip() == version:
                found[version] = Path(candidate)
                break
    return found


PYTHONS = interpreters()


def environment() -> dict[str, str]:
    """Return this process's environment without what would lead back into the checkout."""
    return {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "VIRTUAL_ENV")}


def run(*command: str | Path, folder: Path) -> str:
    done = subprocess.run(
        list(map(str, command)), cwd=folder, env=environment(), capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
    return done.stdout


def pip(python: Path, *arguments: str | Path, folder: Path) -> None:
    """Run pip, or skip where it can't get what it needs."""
    command = [python, "-m", "pip", "--disable-pip-version-check", "-q", *arguments]
    done = subprocess.run(
        list(map(str, command)), cwd=folder, env=environment(), capture_output=True, text=True, check=False
    )
    if re.search(
        r"No matching distribution|Could not find a version|NewConnectionError|Network is unreach", done.stderr
    ):
        pytest.skip(f"needs a package registry: {done.stderr.strip().splitlines()[-1]}")
    assert done.returncode == 0, done.stderr


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, built from a copy of the checkout, so that no build folder is left in it."""
    folder = tmp_path_factory.mktemp("wheel")
    ignored = shutil.ignore_patterns(".*", "build", "*.egg-info", "work_dirs", "data", "shared", "__pycache__")
    shutil.copytree(ROOT, folder / "source", ignore=ignored)
    pip(Path(sys.executable), "wheel", "--no-deps", "-w", folder, folder / "source", folder=folder)
    (built,) = folder.glob("*.whl")
    return built


@pytest.fixture(scope="module", params=PYTHONS or [pytest.param("", marks=pytest.mark.skip("no Python with venv"))])
def installed(request: pytest.FixtureRequest, wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder bin/ of an environment that holds the wheel and its dependencies, in their newest versions."""
    folder = tmp_path_factory.mktemp(f"python{request.param}")
    run(PYTHONS[request.param], "-m", "venv", folder / "env", folder=folder)
    pip(folder / "env" / "bin" / "python", "install", wheel, folder=folder)
    return folder / "env" / "bin"


def test_wheel_draws_a_sample_and_finds_its_fall(installed: Path, tmp_path: Path) -> None:
    told = run(installed / "falldet", "sample", "sample.mp4", folder=tmp_path)
    start_s, end_s = map(float, re.search(r"from (\S+) s to (\S+) s", told).groups())  # type: ignore[union-attr]
    run(installed / "falldet", "demo", "sample.mp4", folder=tmp_path)
    results = tmp_path / "work_dirs" / "demo" / "sample"
    (event,) = last_events(results)
    assert start_s - 0.5 <= event["alert_s"] <= end_s + 3.0
    assert {path.name for path in results.iterdir()} == {"events.jsonl", "sample.mp4", "scores.csv", "timeline.png"}
    shutil.copy(ROOT / "examples" / "five_lines.py", tmp_path)
    assert f"fell at {event['alert_s']:.1f} s" in run(
        installed / "python", "five_lines.py", "sample.mp4", folder=tmp_path
    )


def test_wheel_carries_configs_and_types_and_needs_no_torch(installed: Path, tmp_path: Path) -> None:
    printed = run(installed / "falldet", "config", folder=tmp_path)
    assert printed == (ROOT / "configs" / "detect.toml").read_text(encoding="utf-8")
    code = """
        import importlib.util, sys
        from pathlib import Path
        import falldet
        from falldet.models.shipped import shipped_folder
        package = Path(falldet.__file__).parent
        assert "site-packages" in package.parts, package
        assert (package / "py.typed").is_file()
        assert shipped_folder("configs") == package / "configs"
        assert (package / "configs" / "_base_" / "default_runtime.py").is_file()
        weights = {path.name for path in shipped_folder("checkpoints").iterdir()}
        assert weights >= {"stgcn_fall.onnx", "stgcn_fall.pth", "README.md"}, weights
        falldet.FallDetector()
        assert importlib.util.find_spec("torch") is None and "torch" not in sys.modules
        import numpy
        print(numpy.__version__)
    """
    numpy_version = run(installed / "python", "-c", textwrap.dedent(code), folder=tmp_path)
    assert int(numpy_version.split(".")[0]) >= 2
