"""The configuration file: cameras, overrides, and mistakes told in one sentence."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from falldet.errors import FalldetError
from falldet.live.config import read_live_config
from falldet.live.credentials import Credentials, Redactor

ROOT = Path(__file__).resolve().parents[3]


def written(folder: Path, text: str) -> Path:
    path = folder / "live.toml"
    path.write_text(text, encoding="utf-8")
    return path


def test_read_live_config_overrides_the_detector_for_one_camera(tmp_path: Path) -> None:
    path = written(
        tmp_path,
        """
        [detect.events]
        alert_threshold = 0.98
        [[camera]]
        name = "hall"
        source = "rtsp://u:{P_WORD}@192.0.2.7/sub"
        ignore_zones = [[[0, 0.5], [0.5, 0.5], [0.5, 1]]]
        [camera.detect.events]
        zone_hold_s = 2.0
        [[camera]]
        name = "yard"
        source = "0"
        """,
    )
    config = read_live_config(path, ["door=http://192.0.2.8/x?a=b", "video.mp4"], {"events": {"recover_s": 3.0}})
    hall, yard, door, video = config.cameras
    assert [camera.name for camera in config.cameras] == ["hall", "yard", "door", "camera2"]
    assert door.source == "http://192.0.2.8/x?a=b"
    assert video.is_file
    events = config.detector_config(hall).events
    assert (events.alert_threshold, events.zone_hold_s, events.recover_s) == (0.98, 2.0, 3.0)
    assert len(events.ignore_zones) == 1
    assert config.detector_config(yard).events.zone_hold_s == 1.5
    filled = config.with_secrets(Credentials(Redactor(), environment={"P_WORD": "a b"}))
    assert filled.cameras[0].source == "rtsp://u:a%20b@192.0.2.7/sub"
    assert filled.cameras[0].shown_source.startswith("rtsp://192.0.2.7/")
    assert "a%20b" not in filled.cameras[0].shown_source


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "no camera to watch"),
        ("camera = 3", r"written as \[\[camera\]\] tables"),
        ("camra = 3", "did you mean 'camera'"),
        ("[[camera]]\nname = 'hall'", "camera hall has no source"),
        ("[[camera]]\nsource = '0'", "camera 1 has no name"),
        ("[[camera]]\nname = 'The Hall'\nsource = '0'", "must be 1 to 32 of a-z"),
        ("[[camera]]\nname = 'hall'\nsource = '0'\nzones = []", "did you mean 'ignore_zones'"),
        ("[[camera]]\nname = 'a'\nsource = '0'\n[[camera]]\nname = 'a'\nsource = '1'", "two cameras are named a"),
        ("[[camera]]\nname = 'a'\nsource = '0'\ndetect.events.alert_treshold = 1", "camera a: .*'alert_threshold'"),
        ("[[camera]]\nname = 'a'\nsource = '0'\nfound_lying_s = -1", "must not be negative"),
        ("[state]\nmax_mb = 0\n[[camera]]\nname = 'a'\nsource = '0'", "must be above 0"),
        ("[reader]\nstale_s = 9\n[[camera]]\nname = 'a'\nsource = '0'", "stale_s < watchdog_s"),
        ("[[camera]", "can't be read as TOML"),
    ],
)
def test_read_live_config_names_the_mistake(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(FalldetError, match=message):
        read_live_config(written(tmp_path, text))


def test_read_live_config_names_a_missing_file() -> None:
    with pytest.raises(FalldetError, match=re.escape("no config nothing.toml")):
        read_live_config("nothing.toml")


def test_read_live_config_reads_the_shipped_example() -> None:
    config = read_live_config(ROOT / "configs" / "live.toml")
    assert {camera.name for camera in config.cameras} == {"hall", "bedroom", "desk"}
    for camera in config.cameras:
        config.detector_config(camera)
