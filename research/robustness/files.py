"""What becomes of mutated files? Annotation pickles, checkpoints, ONNX models and .npz files, 300 of each kind.

    python -m research.robustness.files --count 300

Each file is a valid one with bytes changed, removed, repeated or cut off, or numbers in it replaced. A file may be read
or refused in one sentence; anything else is a defect and its file is kept. Prints a table in Markdown: outcomes, worst
time and most memory added. Files of a kind are read in one child process, which is started again after a crash.
"""

from __future__ import annotations

import argparse
import json
import os
import pickle
import resource
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from falldet.cli.process import EXIT_OK, run
from falldet.errors import FalldetError
from falldet.models.shipped import shipped_folder
from falldet.skeleton import JOINT_COUNT
from falldet.visualization.tables import markdown_table

LIMIT_S = 60.0
"""A file that takes longer is a defect."""

Reader = Callable[[Path], object]


def annotation_pickle() -> bytes:
    """Return a small annotation file."""
    rng = np.random.default_rng(0)
    clips = [
        {
            "frame_dir": f"clip_{number}",
            "label": number % 2,
            "img_shape": (240, 320),
            "original_shape": (240, 320),
            "total_frames": 8,
            "keypoint": rng.uniform(10, 200, (1, 8, JOINT_COUNT, 2)).astype(np.float32),
            "keypoint_score": np.full((1, 8, JOINT_COUNT), 0.9, np.float32),
            "time_s": np.arange(8) / 10,
            "fall_intervals": [[0.1, 0.5]] * (number % 2),
            "subject": "anna",
        }
        for number in range(4)
    ]
    split = {"train": ["clip_0", "clip_1"], "val": ["clip_2"], "test": ["clip_3"]}
    return pickle.dumps({"split": split, "annotations": clips}, protocol=4)


def pose_arrays() -> bytes:
    """Return a small file of the pose cache."""
    from falldet.extraction.pose_cache import PoseSequence

    people = 5
    shapes = ((people, JOINT_COUNT, 2), (people, JOINT_COUNT), (people, 4), (people,))
    poses = PoseSequence(np.arange(5.0), np.ones(5, np.int64), *(np.ones(s, np.float32) for s in shapes), (240, 320))
    with tempfile.TemporaryDirectory() as folder:
        poses.save(Path(folder) / "a.npz")
        return (Path(folder) / "a.npz").read_bytes()


def original(kind: str) -> bytes:
    """Return the valid file of a kind."""
    if kind in ("onnx", "pth"):
        return (shipped_folder("checkpoints") / f"stgcn_fall.{kind}").read_bytes()
    return annotation_pickle() if kind == "pkl" else pose_arrays()


def reader(kind: str) -> Reader:
    """Return the function that reads a kind."""
    if kind == "pkl":
        from falldet.data.annotations import load_annotations

        return load_annotations
    if kind == "npz":
        from falldet.extraction.pose_cache import PoseSequence

        return PoseSequence.load
    if kind == "onnx":
        from falldet.stages.recognizer import Recognizer

        return Recognizer
    from falldet.openmmlab.checkpoint import load_checkpoint, state_dict_of

    return lambda path: state_dict_of(load_checkpoint(path), path)


def mutated(content: bytes, rng: np.random.Generator) -> bytes:
    """Return `content` with one to four changes."""
    changed = bytearray(content)
    for _ in range(int(rng.integers(1, 5))):
        if not changed:
            break
        head = bool(rng.random() < 0.5)  # structure is often near the ends
        place = int(rng.integers(min(len(changed), 600) if head else len(changed)))
        place = place if rng.random() < 0.7 else len(changed) - 1 - place
        kind = int(rng.integers(7))
        length = int(rng.integers(1, 9))
        if kind == 0:
            changed[place] ^= 1 << int(rng.integers(8))
        elif kind == 1:
            changed[place : place + length] = rng.bytes(length)
        elif kind == 2:
            changed[place : place + length] = b"\xff" * length
        elif kind == 3:
            del changed[place : place + length * int(rng.integers(1, 40))]
        elif kind == 4:
            changed[place:place] = changed[place : place + length * 8] * int(rng.integers(1, 50))
        elif kind == 5:
            del changed[place:]
        else:
            changed[place : place + 4] = int(rng.integers(1 << 32)).to_bytes(4, "little")
    return bytes(changed)


def read_all(kind: str, first: int, count: int, folder: Path) -> None:
    """Read the mutated files of a kind in this process; write a line of JSON on each to stdout."""
    content, read = original(kind), reader(kind)
    path = folder / f"file.{kind}"
    path.write_bytes(content)
    read(path)  # what the first call loads is not the file's
    for number in range(first, count):
        path.write_bytes(mutated(content, np.random.default_rng([number, len(kind), ord(kind[0])])))
        before, started = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.perf_counter()
        try:
            read(path)
            outcome = "read"
        except (FalldetError, ValueError) as error:
            outcome = (
                "refused" if isinstance(error, FalldetError) or kind == "npz" else f"{type(error).__name__}: {error}"
            )
        except Exception as error:
            outcome = f"{type(error).__name__}: {error}"
        grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
        line = {"number": number, "outcome": outcome[:200], "s": time.perf_counter() - started, "mb": grown / 1024}
        sys.stdout.write(json.dumps(line) + "\n")
        sys.stdout.flush()


def study(kind: str, count: int) -> tuple[list[dict], list[str]]:
    """Return a record for each file of a kind, and the defects in words."""
    records: list[dict] = []
    defects: list[str] = []
    while len(records) < count:
        with tempfile.TemporaryDirectory() as folder:
            call = [sys.executable, "-m", "research.robustness.files", "--child", kind, str(len(records)), folder]
            environment = os.environ | {"FALLDET_CACHE": folder}
            try:
                done = subprocess.run(
                    [*call, "--count", str(count)],
                    env=environment,
                    stdout=subprocess.PIPE,
                    stderr=subprocess.DEVNULL,
                    text=True,
                    timeout=LIMIT_S + count * 2,
                    check=False,
                )
                output, code = done.stdout, done.returncode
            except subprocess.TimeoutExpired as error:
                output, code = (error.stdout or b"").decode(), -9
        found = [json.loads(line) for line in output.splitlines()]
        records += found
        if len(records) < count:  # the next file ended the process
            defects.append(f"{kind} {len(records)}: the process ended with code {code}")
            records.append({"number": len(records), "outcome": "crash", "s": 0.0, "mb": 0.0})
            if not found and len(defects) > 20:
                break
    defects += [f"{kind} {each['number']}: {each['outcome']}" for each in records if ":" in each["outcome"]]
    defects += [f"{kind} {each['number']}: {each['s']:.0f} s" for each in records if each["s"] > LIMIT_S]
    return records, defects


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the table and the defects; the exit code tells whether there are any."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=300, help="files of each kind (default: 300)")
    parser.add_argument("--kinds", nargs="+", default=["pkl", "npz", "onnx", "pth"])
    parser.add_argument("--child", nargs=3, metavar=("KIND", "FIRST", "FOLDER"), help=argparse.SUPPRESS)
    parsed = parser.parse_args(arguments)
    if parsed.child:
        kind, first, folder = parsed.child
        read_all(kind, int(first), parsed.count, Path(folder))
        return EXIT_OK
    rows, defects = [], []
    for kind in parsed.kinds:
        records, found = study(kind, parsed.count)
        counts = Counter(each["outcome"] if each["outcome"] in ("read", "refused") else "defect" for each in records)
        worst_s, worst_mb = (max(each[key] for each in records) for key in ("s", "mb"))
        rows.append(
            (
                kind,
                *(str(counts[name]) for name in ("read", "refused", "defect")),
                f"{worst_s:.2f} s",
                f"{worst_mb:.0f} MB",
            )
        )
        defects += found
    header = ("kind", "read", "refused", "defects", "worst time", "most memory added")
    sys.stdout.write("\n".join([*markdown_table(header, rows), *defects]) + "\n")
    return 1 if defects else EXIT_OK


if __name__ == "__main__":
    run(main)
