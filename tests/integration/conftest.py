"""What the integration tests share."""

from __future__ import annotations

from pathlib import Path

import pytest
from scene_videos import render

from falldet.synthetic import SCENES


@pytest.fixture(scope="session")
def sample_video(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The sample scene as a video file."""
    return render(SCENES["sample"](), tmp_path_factory.mktemp("sample") / "sample.mp4")
