"""Recognizer: model files whose metadata or network is not a recognizer's are refused in a sentence."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
import pytest

from falldet.errors import FalldetError
from falldet.models.openvino import openvino
from falldet.models.shipped import shipped_folder
from falldet.stages.recognizer import Recognizer

onnx = pytest.importorskip("onnx", reason="needs onnx (make install)")

SHIPPED = shipped_folder("checkpoints") / "stgcn_fall.onnx"


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FALLDET_CACHE", str(tmp_path / "cache"))


def with_metadata(path: Path, **changes: str) -> Path:
    model = onnx.load(str(SHIPPED))
    for prop in model.metadata_props:
        prop.value = changes.get(prop.key.removeprefix("falldet."), prop.value)
    path.write_bytes(model.SerializeToString())
    return path


@pytest.mark.parametrize(
    "value", ["x", "-1", "0", "1", "1000000000", "nan", "inf", "48.5", "1e999", "9" * 5000, "\x1b[31m"]
)
def test_recognizer_refuses_frames_that_are_no_number_of_poses(tmp_path: Path, value: str) -> None:
    started = time.monotonic()
    with pytest.raises(FalldetError, match=r"(frames = |is no recognizer of)") as caught:
        Recognizer(with_metadata(tmp_path / "a.onnx", frames=value))
    assert time.monotonic() - started < 5
    assert len(str(caught.value)) < 300 + len(str(tmp_path))
    assert str(caught.value).isprintable()


@pytest.mark.parametrize("value", ["nan", "inf", "-2", "0", "x", "1e9"])
def test_recognizer_refuses_a_window_of_no_length(tmp_path: Path, value: str) -> None:
    with pytest.raises(FalldetError, match="window_s = "):
        Recognizer(with_metadata(tmp_path / "a.onnx", window_s=value))


def test_recognizer_refuses_other_frames_than_the_networks(tmp_path: Path) -> None:
    with pytest.raises(FalldetError, match="is no recognizer of 32 poses"):
        Recognizer(with_metadata(tmp_path / "a.onnx", frames="32"))


@pytest.mark.parametrize("size", [0, 1, 100, 5000])
def test_recognizer_refuses_a_file_cut_anywhere(tmp_path: Path, size: int) -> None:
    path = tmp_path / "a.onnx"
    path.write_bytes(SHIPPED.read_bytes()[:size])
    with pytest.raises(FalldetError, match=r"can't be read as an ONNX model|not written by"):
        Recognizer(path)


def test_recognizer_refuses_another_network(tmp_path: Path) -> None:
    given = openvino.opset13.parameter([1, 8], np.float32)
    model = openvino.Model([openvino.opset13.relu(given)], [given])
    for name, value in (("normalization", "person"), ("frames", "48")):
        model.set_rt_info(value, ["framework", f"falldet.{name}"])
    openvino.save_model(model, tmp_path / "a.xml")
    with pytest.raises(FalldetError, match="is no recognizer of 48 poses"):
        Recognizer(tmp_path / "a.xml")


def test_recognizer_refuses_metadata_that_is_no_text(tmp_path: Path) -> None:
    path = tmp_path / "a.onnx"
    path.write_bytes(SHIPPED.read_bytes().replace(b"person", b"per\xffon"))
    with pytest.raises(FalldetError, match=r"not written by|can't be read"):
        Recognizer(path)
