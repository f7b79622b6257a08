"""Bad input through the real tools: one sentence, exit code 2, no traceback, nothing half-written; odd input works."""

from __future__ import annotations

import importlib.util
import json
import os
import pickle
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from falldet.errors import FalldetError
from falldet.io.video import read_frames
from falldet.models.checkpoints import find_checkpoint
from falldet.pipeline.detector import FallDetector
from falldet.runtime.runner import OutputOptions, run_source

ROOT = Path(__file__).resolve().parents[2]


def record(
    path: Path,
    frames: int = 5,
    codec: str = "libx264",
    pix_fmt: str = "yuv420p",
    size: tuple[int, int] = (64, 48),
    rotation: int = 0,
    times_s: list[float] | None = None,
) -> Path:
    with av.open(str(path), "w", options={"movflags": "+faststart"} if path.suffix == ".mp4" else {}) as container:
        stream = container.add_stream(codec, rate=25)
        stream.width, stream.height, stream.pix_fmt = *size, pix_fmt
        stream.codec_context.time_base = Fraction(1, 1000)
        if rotation:
            stream.set_display_rotation(rotation)
        for number in range(frames):
            image = av.VideoFrame.from_ndarray(np.full((size[1], size[0], 3), 90, np.uint8), format="bgr24")
            image.pts, image.time_base = (
                round(1000 * (times_s[number] if times_s else number / 25)),
                Fraction(1, 1000),
            )
            container.mux(stream.encode(image))
        container.mux(stream.encode(None))
    return path


def audio(path: Path) -> Path:
    with av.open(str(path), "w") as container:
        stream = container.add_stream("aac", rate=16_000, layout="mono")
        sound = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), format="fltp", layout="mono")
        sound.sample_rate, sound.pts = 16_000, 0
        container.mux(stream.encode(sound))
        container.mux(stream.encode(None))
    return path


def written(path: Path, contents: bytes | str = b"") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(contents.encode() if isinstance(contents, str) else contents)
    return path


def cut(path: Path, mark: bytes) -> Path:
    """A video of which only what stands before `mark` is left."""
    whole = record(path, 20).read_bytes()
    return written(path, whole[: whole.index(mark) + len(mark)])


def no_pixels(path: Path) -> Path:
    """A video whose headers say 0x0 and whose frames are gone."""
    contents = bytearray(record(path, 5, "mjpeg", "yuvj420p").read_bytes())
    entry = contents.index(b"stsd") + 12
    contents[entry + 32 : entry + 36] = bytes(4)
    start = contents.index(b"mdat") + 4
    return written(path, bytes(contents[:start]) + bytes(len(contents) - start))


@dataclass(frozen=True)
class Case:
    """One mistake: which tool, what is prepared in an empty folder, what is asked, what is said."""

    tool: str
    arguments: tuple[str, ...]
    says: str
    prepare: Callable[[Path], object] = field(default=lambda folder: None)
    leaves: tuple[str, ...] = ()


def demo(says: str, prepare: Callable[[Path], object] = lambda folder: None, *more: str, source: str = "a.mp4") -> Case:
    return Case("demo", (source, "--out-dir", "out", *more), says, prepare)


def demo_options(says: str, *more: str, prepare: Callable[[Path], object] = lambda folder: None) -> Case:
    def with_video(folder: Path) -> None:
        record(folder / "a.mp4")
        prepare(folder)

    return demo(says, with_video, *more)


def extraction(says: str, prepare: Callable[[Path], object], *more: str, leaves: tuple[str, ...] = ()) -> Case:
    return Case("extract_kpts", ("v", "--out", "out/falls.pkl", "--cache", "out/poses", *more), says, prepare, leaves)


def manifest(says: str, contents: bytes | str) -> Case:
    return extraction(says, lambda folder: written(folder / "m.csv", contents), "--manifest", "m.csv")


CASES = {
    "no such video": demo("no such video: a.mp4"),
    "empty file": demo("is empty (0 bytes)", lambda folder: written(folder / "a.mp4")),
    "text renamed .mp4": demo("can't read a.mp4 as video", lambda folder: written(folder / "a.mp4", "hello\n" * 99)),
    "noise": demo("can't read a.mp4", lambda folder: written(folder / "a.mp4", np.random.default_rng(0).bytes(9999))),
    "folder as a video": demo("is a folder", lambda folder: (folder / "a.mp4").mkdir()),
    "audio only": demo("holds no video", lambda folder: audio(folder / "a.mp4")),
    "cut before the index": demo("can't read a.mp4", lambda folder: cut(folder / "a.mp4", b"ftyp")),
    "unreachable stream": demo("can't read rtsp://127.0.0.1:9/", source="rtsp://127.0.0.1:9/x"),
    "missing webcam": demo("can't read 97", source="97"),
    "unknown group": demo_options("did you mean 'events'", "--cfg-options", "event.alert_threshold=0.5"),
    "unknown key": demo_options("did you mean 'alert_threshold'", "--cfg-options", "events.alertthreshold=0.5"),
    "not a number": demo_options("has the wrong type", "--cfg-options", "events.alert_threshold=high"),
    "out of range": demo_options("must lie between 0 and 1", "--cfg-options", "events.alert_threshold=1.1"),
    "replaced": demo_options("fusion.rule has been replaced", "--cfg-options", "fusion.rule=noisy_or"),
    "no value": demo_options("takes key=value", "--cfg-options", "events.alert_threshold"),
    "old name": demo_options("it is events.alert_threshold now", "--cfg-options", "events.alert_score=0.5"),
    "missing config": demo_options("no config none.toml", "--config", "none.toml"),
    "old config": demo_options(
        "`falldet config > my.toml`", "--config", "c.py", prepare=lambda folder: written(folder / "c.py", "import os")
    ),
    "config that is no TOML": demo_options(
        "c.toml can't be read as TOML", "--config", "c.toml", prepare=lambda folder: written(folder / "c.toml", "a = (")
    ),
    "old name in a config": demo_options(
        "pace.poses_per_s has been renamed: it is sampling.active_fps now",
        "--config",
        "c.toml",
        prepare=lambda folder: written(folder / "c.toml", "[pace]\nposes_per_s = 10.0\n"),
    ),
    "unknown recognizer": demo_options("no file and no known checkpoint", "--checkpoint", "none.onnx"),
    "text as a recognizer": demo_options(
        "x.onnx", "--checkpoint", "x.onnx", prepare=lambda folder: written(folder / "x.onnx", "no model")
    ),
    "missing folder": extraction("no folder v", lambda folder: None),
    "folder without videos": extraction("holds no video", lambda folder: (folder / "v").mkdir()),
    "unlabeled videos": extraction("1 videos, none of them", lambda folder: written(folder / "v" / "a.mp4", "x")),
    "only broken videos": extraction(
        "none of the 2 videos could be used",
        lambda folder: [written(folder / "v" / "fall" / name, "x") for name in ("a.mp4", "b.mp4")],
        leaves=("falls_report.csv",),
    ),
    "missing manifest": extraction("no manifest m.csv", lambda folder: None, "--manifest", "m.csv"),
    "manifest without a column": manifest("m.csv:1: no column 'label'", "path,fall\na.mp4,1\n"),
    "manifest with an unknown label": manifest("m.csv:2: unknown label 'maybe'", "path,label\na.mp4,maybe\n"),
    "manifest without a line": manifest("lists no clip", "path,label\n"),
    "manifest that is no text": manifest("can't be read as a CSV file", b"path,label\n\xff\xfe\x00\n"),
    "manifest of missing videos": extraction(
        "none of the 1 videos could be used",
        lambda folder: written(folder / "m.csv", "path,label\nnone.mp4,fall\n"),
        "--manifest",
        "m.csv",
        leaves=("falls_report.csv",),
    ),
    "no person to keep": extraction(
        "people = 0 must be", lambda folder: written(folder / "v" / "fall" / "a.mp4", "x"), "--people", "0"
    ),
}
"""What ends before a model is needed."""

NEED_MODELS = {
    "headers without frames": demo("no frame could be read", lambda folder: cut(folder / "a.mp4", b"mdat")),
    "0x0": demo("a.mp4", lambda folder: no_pixels(folder / "a.mp4")),
    "out-dir is a file": demo_options("can't write", "--out-dir", "f", prepare=lambda folder: written(folder / "f")),
    "results would replace the source": Case(
        "demo", ("a.mp4", "--out-dir", "."), "would replace a.mp4", lambda folder: record(folder / "a.mp4")
    ),
    "unknown device": demo_options("'TPU'", "--device", "TPU"),
    "pose model that is none": demo_options(
        "p.tflite",
        "--cfg-options",
        "movenet.checkpoint=p.tflite",
        prepare=lambda folder: written(folder / "p.tflite", "x"),
    ),
}


@dataclass(frozen=True)
class Outcome:
    """What a tool left behind."""

    code: int
    stderr: str
    new: list[str]


ENVIRONMENT = {**os.environ, "PYTHONPATH": str(ROOT)}

FORKING = """
import json, os, runpy, sys, traceback
import falldet.cli, falldet.runtime.multi_source, falldet.extraction.clips, falldet.pipeline.detector
for line in sys.stdin:
    folder, tool, arguments = json.loads(line)
    child = os.fork()
    if child == 0:
        code = 1
        try:
            os.chdir(folder)
            os.dup2(os.open(folder + ".err", os.O_WRONLY | os.O_CREAT, 0o644), 2)
            os.dup2(2, 1)
            sys.argv = [tool, *arguments]
            runpy.run_path(tool, run_name="__main__")
        except SystemExit as left:
            code = left.code
        except BaseException:
            traceback.print_exc()
        sys.stdout.flush(), sys.stderr.flush()
        os._exit(code)
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
"""
"""Runs each tool in a process of its own, but loads Python's modules only once."""


def prepared(case: Case, folder: Path) -> set[Path]:
    """Make the case's folder and return what is in it."""
    folder.mkdir()
    case.prepare(folder)
    return set(folder.rglob("*"))


def new_files(folder: Path, before: set[Path]) -> list[str]:
    return sorted(path.name for path in set(folder.rglob("*")) - before if path.is_file())


def outcome(case: Case, folder: Path) -> Outcome:
    """Run one tool as a user would."""
    before = prepared(case, folder)
    done = subprocess.run(
        [sys.executable, str(ROOT / "tools" / f"{case.tool}.py"), *case.arguments],
        cwd=folder,
        env=ENVIRONMENT,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    return Outcome(done.returncode, done.stderr, new_files(folder, before))


def outcomes(cases: dict[str, Case], folder: Path) -> dict[str, Outcome]:
    """Run many, one after the other."""
    found = {}
    command = [sys.executable, "-c", FORKING]
    with subprocess.Popen(command, env=ENVIRONMENT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdin is not None
        assert server.stdout is not None
        for number, (name, case) in enumerate(cases.items()):
            place = folder / str(number)
            before = prepared(case, place)
            tool = str(ROOT / "tools" / f"{case.tool}.py")
            server.stdin.write(json.dumps([str(place), tool, case.arguments]) + "\n")
            server.stdin.flush()
            code = int(server.stdout.readline())
            found[name] = Outcome(code, place.with_suffix(".err").read_text(), new_files(place, before))
    return found


def check(case: Case, found: Outcome) -> None:
    assert found.code == 2, found.stderr
    assert "Traceback" not in found.stderr
    said = [line for line in found.stderr.splitlines() if line.startswith("error: ")]
    assert len(said) == 1, found.stderr
    assert found.stderr.endswith(said[0] + "\n")
    assert case.says in said[0]
    assert found.new == list(case.leaves)


@pytest.fixture(scope="module")
def bare(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Outcome]:
    return outcomes(CASES, tmp_path_factory.mktemp("bare"))


@pytest.mark.parametrize("name", CASES)
def test_tools_tell_a_mistake_in_one_sentence_and_leave_nothing(bare: dict[str, Outcome], name: str) -> None:
    check(CASES[name], bare[name])


@pytest.mark.parametrize("name", ["empty file", "unknown key", "missing manifest"])
def test_tools_tell_a_mistake_as_a_user_sees_it(tmp_path: Path, name: str) -> None:
    found = outcome(CASES[name], tmp_path / "run")
    check(CASES[name], found)
    assert found.stderr.startswith("error: ")
    assert found.stderr.count("\n") == 1


@pytest.fixture(scope="session")
def models() -> None:
    """Skip where a model can't be had."""
    for name in ("stgcn_fall", "movenet_multipose"):
        try:
            find_checkpoint(name)
        except FalldetError as error:
            pytest.skip(f"needs the model {name}: {error}")


@pytest.fixture(scope="module")
def with_models(models: None, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Outcome]:
    return outcomes(NEED_MODELS, tmp_path_factory.mktemp("models"))


@pytest.mark.parametrize("name", NEED_MODELS)
def test_tools_tell_a_mistake_found_later_in_one_sentence_and_leave_nothing(
    with_models: dict[str, Outcome], name: str
) -> None:
    check(NEED_MODELS[name], with_models[name])


@pytest.mark.slow
@pytest.mark.openmmlab
@pytest.mark.parametrize(
    "case",
    [
        Case(
            "train",
            (str(ROOT / "configs" / "stgcn_fall.py"), "--ann-file", "falls.pkl", "--work-dir", "out"),
            "falls.pkl is refused, it holds fractions.Fraction",
            lambda folder: written(folder / "falls.pkl", pickle.dumps(Fraction(1, 2))),
        ),
        demo_options(
            "x.pth",
            "--checkpoint",
            "x.pth",
            prepare=lambda folder: written(folder / "x.pth", pickle.dumps(Fraction(1, 2))),
        ),
    ],
    ids=["annotations", "recognizer"],
)
def test_tools_tell_a_wrong_pickle_in_one_sentence(tmp_path: Path, case: Case) -> None:
    if importlib.util.find_spec("mmaction") is None:
        pytest.skip("needs OpenMMLab (`make install`)")
    found = outcome(case, tmp_path / "run")
    check(case, replace(found, new=[name for name in found.new if name.endswith((".pth", ".png", ".json"))]))


@pytest.mark.parametrize(
    ("tool", "arguments"),
    [("demo", ()), ("demo", ("a.mp4", "--nosuch")), ("extract_kpts", ("v", "--people", "two"))],
)
def test_tools_tell_a_wrong_option_by_the_usage(tmp_path: Path, tool: str, arguments: tuple[str, ...]) -> None:
    found = outcome(Case(tool, arguments, ""), tmp_path / "run")
    assert found.code == 2
    assert found.stderr.startswith("usage: ")
    assert "Traceback" not in found.stderr
    assert found.new == []


ODD = {
    "one frame": (lambda path: record(path, 1), (48, 64)),
    "10-bit": (lambda path: record(path, 5, pix_fmt="yuv420p10le"), (48, 64)),
    "odd sizes": (lambda path: record(path, 5, pix_fmt="yuv444p", size=(63, 47)), (48, 64)),
    "one pixel": (lambda path: record(path, 3, pix_fmt="yuv444p", size=(1, 1)), (2, 2)),
    "very wide": (lambda path: record(path, 3, size=(1024, 16)), (16, 1024)),
    "portrait by its rotation flag": (lambda path: record(path, 5, rotation=90), (64, 48)),
    "variable rate": (lambda path: record(path, 4, times_s=[0.0, 0.04, 1.5, 1.54]), (48, 64)),
}


@pytest.fixture(scope="module")
def detector(models: None) -> FallDetector:
    return FallDetector()


@pytest.mark.parametrize("name", ODD)
def test_run_source_takes_odd_videos_without_people(detector: FallDetector, tmp_path: Path, name: str) -> None:
    make, shape = ODD[name]
    source = make(tmp_path / "a.mp4")
    result = run_source(source, detector, OutputOptions(tmp_path / "out"))
    assert result.failed == []
    assert result.events == []
    assert {path.name for path in (tmp_path / "out").iterdir()} == {
        "a.mp4",
        "scores.csv",
        "events.jsonl",
        "timeline.png",
    }
    assert (tmp_path / "out" / "events.jsonl").read_text() == ""
    given, drawn = list(read_frames(source)), list(read_frames(tmp_path / "out" / "a.mp4"))
    assert [frame.time_s for frame in drawn] == pytest.approx([frame.time_s for frame in given], abs=1e-3)
    assert drawn[0].image.shape[:2] == shape


def test_demo_without_people_is_exit_code_0(models: None, tmp_path: Path) -> None:
    record(tmp_path / "a.mp4", 10)
    done = subprocess.run(
        [sys.executable, str(ROOT / "tools" / "demo.py"), "a.mp4", "--out-dir", "out", "--no-video"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("a.mp4: 0 falls\n10 frames in ")
    assert [json.loads(line) for line in (tmp_path / "out" / "events.jsonl").read_text().splitlines()] == []
    assert {path.name for path in (tmp_path / "out").iterdir()} == {"scores.csv", "events.jsonl", "timeline.png"}


def test_fall_detector_leaves_ctrl_c_working_after_its_models_are_gone(models: None) -> None:
    """OpenVINO leaves a dangling signal stack behind when two of its cores go in the order they came."""
    code = """
import gc, signal
import numpy
from falldet import FallDetector
for _ in range(2):
    detector = FallDetector()
    detector.pose_source.submit(numpy.zeros((48, 64, 3), "uint8")).result()
    del detector.analyzer
    gc.collect()
    del detector
    gc.collect()
signal.signal(signal.SIGINT, lambda *_: print("handled"))
signal.raise_signal(signal.SIGINT)
"""
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "handled\n"), done.stderr


def test_demo_keeps_what_was_finished_at_ctrl_c(models: None, tmp_path: Path) -> None:
    record(tmp_path / "a.mp4", 4000)
    process = subprocess.Popen(
        [sys.executable, str(ROOT / "tools" / "demo.py"), "a.mp4", "--out-dir", "out"],
        cwd=tmp_path,
        env=ENVIRONMENT,
        stderr=subprocess.PIPE,
        text=True,
    )
    deadline = time.monotonic() + 60
    while not any(
        path.stat().st_size for path in (tmp_path / "out").glob("a.unfinished.mp4")
    ):  # the encoder's first bytes
        assert time.monotonic() < deadline
        time.sleep(0.02)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 130, err
    assert "Traceback" not in err
    assert {path.name for path in (tmp_path / "out").iterdir()} == {
        "a.mp4",
        "scores.csv",
        "events.jsonl",
        "timeline.png",
    }
    assert 0 < len(list(read_frames(tmp_path / "out" / "a.mp4"))) < 4000
