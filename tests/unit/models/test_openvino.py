"""The compile cache and the metadata reader, with small models compiled here."""

from __future__ import annotations

import logging
from pathlib import Path

import numpy as np
import openvino
import pytest
from openvino import opset13

from falldet.models.openvino import compile_model, compile_options, openvino_core, read_metadata


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The empty folder of compiled models."""
    monkeypatch.setenv("FALLDET_CACHE", str(tmp_path))
    return tmp_path / "compiled"


def doubling() -> openvino.Model:
    """A model that doubles (2,) float32."""
    entry = opset13.parameter([2], np.float32, name="x")
    return openvino.Model([opset13.multiply(entry, np.array([2, 2], np.float32))], [entry], "doubling")


def unreadable() -> openvino.Model:
    raise AssertionError("the model was read")


def doubled(model: openvino.CompiledModel) -> list[float]:
    return model([np.array([1, 3], np.float32)])[0].tolist()


def test_openvino_core_is_one_per_process() -> None:
    assert openvino_core() is openvino_core()


def test_compile_options_hold_threads_and_streams_only_where_given() -> None:
    assert compile_options("fastest") == {"PERFORMANCE_HINT": "LATENCY"}
    assert compile_options("f32", threads=2, streams=3) == {
        "NUM_STREAMS": 3,
        "INFERENCE_PRECISION_HINT": "f32",
        "INFERENCE_NUM_THREADS": 2,
    }


def test_compile_model_reads_the_model_once(cache: Path) -> None:
    options = compile_options("f32", threads=1)
    assert doubled(compile_model(doubling, "doubling", "CPU", options)) == [2, 6]
    assert len(list(cache.iterdir())) == 1
    assert doubled(compile_model(unreadable, "doubling", "CPU", options)) == [2, 6]
    compile_model(doubling, "another", "CPU", options)
    compile_model(doubling, "doubling", "CPU", compile_options("f32", threads=2))
    assert len(list(cache.iterdir())) == 3


def test_compile_model_replaces_a_broken_cache_file(cache: Path) -> None:
    options = compile_options("f32", threads=1)
    compile_model(doubling, "doubling", "CPU", options)
    (cached,) = cache.iterdir()
    cached.write_bytes(b"broken")
    assert doubled(compile_model(doubling, "doubling", "CPU", options)) == [2, 6]
    assert doubled(compile_model(unreadable, "doubling", "CPU", options)) == [2, 6]


def test_compile_model_works_without_a_cache(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("FALLDET_CACHE", str(tmp_path / "file"))
    with caplog.at_level(logging.DEBUG, logger="falldet"):
        assert doubled(compile_model(doubling, "doubling", "CPU", compile_options("f32"))) == [2, 6]
    assert "is not cached" in caplog.text


def test_read_metadata_gives_the_entries_that_are_there(tmp_path: Path) -> None:
    model = doubling()
    model.set_rt_info("person", ["framework", "falldet.normalization"])
    model.set_rt_info("48", ["framework", "falldet.frames"])
    openvino.save_model(model, tmp_path / "model.xml")
    read = openvino_core().read_model(tmp_path / "model.xml")
    assert read_metadata(read, "normalization", "window_s") == {"normalization": "person"}
