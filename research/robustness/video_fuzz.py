"""Read mutated videos, each in limits of time and memory: python -m research.robustness.video_fuzz --count 1000.

Small drawn clips in several containers have bytes flipped, cut off, inserted, repeated or zeroed. Each mutated file is
read to its end by a child process that lives for many files; a crash or a hang costs one file and one child.
"""

from __future__ import annotations

import argparse
import json
import logging
import multiprocessing
import resource
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import asdict, dataclass
from multiprocessing.connection import Connection
from pathlib import Path

import av
import numpy as np

from falldet.errors import FalldetError
from falldet.io.video import read_frames

CONTAINERS = (
    ("mp4", "libx264", {"movflags": "+faststart"}),
    ("mkv", "libx264", {}),
    ("ts", "libx264", {}),
    ("avi", "mpeg4", {}),
    ("mov", "mjpeg", {}),
    ("h264", "libx264", {}),
)
FRAMES = 50


@dataclass(frozen=True, slots=True)
class Reading:
    """How a file was read: the kind of outcome, seconds, and peak memory of the process in MB."""

    outcome: str
    seconds: float
    memory_mb: float


def draw_clip(path: Path, codec: str, options: dict[str, str], rng: np.random.Generator) -> Path:
    """Write a clip of a bright box that moves over noise."""
    noise = rng.integers(0, 90, (120, 160, 3), dtype=np.uint8)
    with av.open(str(path), "w", options=options) as container:
        stream = container.add_stream(codec, rate=25)
        stream.width, stream.height = 160, 120
        stream.pix_fmt = "yuvj420p" if codec == "mjpeg" else "yuv420p"
        for index in range(FRAMES):
            image = noise.copy()
            image[40:100, 2 * index : 2 * index + 20] = 220
            frame = av.VideoFrame.from_ndarray(image, format="bgr24")
            frame.pts = index
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def mutate(contents: bytes, rng: np.random.Generator) -> bytes:
    """Return `contents` after one to four mutations; half of them hit the first or the last kilobyte."""
    data = bytearray(contents)
    for _ in range(int(rng.integers(1, 5))):
        if not data:
            break
        size = len(data)
        edge = min(1024, size)
        place = int(
            rng.choice([rng.integers(size), rng.integers(edge), size - 1 - rng.integers(edge)], p=[0.5, 0.3, 0.2])
        )
        length = int(rng.integers(1, 1 + min(400, size)))
        kind = int(rng.integers(6))
        if kind == 0:
            for at in rng.integers(place, min(size, place + 64), int(rng.integers(1, 20))):
                data[at] ^= 1 << int(rng.integers(8))
        elif kind == 1:
            del data[place:]
        elif kind == 2:
            data[place:place] = rng.bytes(length)
        elif kind == 3:
            del data[place : place + length]
        elif kind == 4:
            data[place : place + length] = bytes(min(length, size - place))
        else:
            data[place : place + 4] = bytes([255] * 4)
    return bytes(data)


def read(path: str) -> str:
    """Return the kind of outcome of reading a file to its end."""
    try:
        frames = sum(1 for _ in read_frames(path))
    except FalldetError as error:
        return "refused" if "\n" not in str(error) else "refused in several lines"
    except MemoryError:
        return "out of memory"
    except Exception as error:
        return f"traceback: {type(error).__name__}: {error}"
    return "read" if frames == FRAMES else "read in part" if frames < FRAMES else "read with more frames"


def child(connection: Connection, memory_mb: int) -> None:
    """Read the files whose names come, and send how that went."""
    logging.disable(logging.CRITICAL)
    av.logging.set_level(None)
    resource.setrlimit(resource.RLIMIT_AS, (memory_mb << 20, memory_mb << 20))
    while True:
        path = connection.recv()
        begun_s = time.perf_counter()
        outcome = read(path)
        peak_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        connection.send(Reading(outcome, time.perf_counter() - begun_s, peak_mb))


class Reader:
    """A child process that reads files, started again after a crash or a hang."""

    def __init__(self, limit_s: float, memory_mb: int) -> None:
        self._limit_s, self._memory_mb = limit_s, memory_mb
        self._start()

    def _start(self) -> None:
        context = multiprocessing.get_context("spawn")
        self._connection, theirs = context.Pipe()
        self._process = context.Process(target=child, args=(theirs, self._memory_mb), daemon=True)
        self._process.start()
        theirs.close()

    def read(self, path: Path) -> Reading:
        """Read a file in limits."""
        begun_s = time.perf_counter()
        try:
            self._connection.send(str(path))
            if self._connection.poll(self._limit_s):
                return self._connection.recv()
            outcome = "hang"
        except (EOFError, OSError):
            outcome = "crash"
        self.close()
        self._start()
        return Reading(outcome, time.perf_counter() - begun_s, 0.0)

    def close(self) -> None:
        """End the process."""
        self._process.kill()
        self._process.join()


def run(count: int, seed: int, keep: Callable[[bytes, str, str], None], limits: tuple[float, int]) -> dict[str, object]:
    """Read `count` mutated clips; return outcomes, worst time and memory by container."""
    rng = np.random.default_rng(seed)
    report: dict[str, object] = {"count": count, "seed": seed, "limit_s": limits[0], "limit_mb": limits[1]}
    reader = Reader(*limits)
    with tempfile.TemporaryDirectory(prefix="falldet-fuzz-") as name:
        folder = Path(name)
        clips = {
            suffix: draw_clip(folder / f"whole.{suffix}", codec, options, rng).read_bytes()
            for suffix, codec, options in CONTAINERS
        }
        reader.read(folder / "whole.mp4")  # loads what takes time
        readings: dict[str, list[Reading]] = {suffix: [] for suffix in clips}
        for index in range(count):
            suffix = CONTAINERS[index % len(CONTAINERS)][0]
            data = mutate(clips[suffix], rng)
            path = folder / f"mutated.{suffix}"
            path.write_bytes(data)
            reading = reader.read(path)
            readings[suffix].append(reading)
            if not reading.outcome.startswith(("read", "refused")):
                keep(data, suffix, reading.outcome)
    reader.close()
    every = [reading for group in readings.values() for reading in group]
    report["outcomes"] = dict(Counter(reading.outcome for reading in every).most_common())
    report["worst"] = asdict(max(every, key=lambda reading: reading.seconds))
    report["peak_mb"] = max(reading.memory_mb for reading in every)
    report["by_container"] = {s: dict(Counter(r.outcome for r in group)) for s, group in readings.items()}
    return report


def main() -> None:
    """Run the command."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--count", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--limit-s", type=float, default=20.0)
    parser.add_argument("--limit-mb", type=int, default=3000, help="address space of the child")
    parser.add_argument("--keep", type=Path, help="folder for the files that crash, hang or raise")
    arguments = parser.parse_args()
    kept: list[str] = []

    def keep(data: bytes, suffix: str, outcome: str) -> None:
        kept.append(outcome)
        if arguments.keep:
            arguments.keep.mkdir(parents=True, exist_ok=True)
            (arguments.keep / f"{len(kept):03}.{suffix}").write_bytes(data)

    found = run(arguments.count, arguments.seed, keep, (arguments.limit_s, arguments.limit_mb))
    print(json.dumps(found, indent=1))


if __name__ == "__main__":
    main()
