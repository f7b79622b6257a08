"""Compare the events of two versions of falldet on the same clips, number by number.

    python -m research.regression.compare_events run --repo DIR --out DIR MANIFEST...
    python -m research.regression.compare_events compare BEFORE AFTER

`run` calls DIR/tools/demo.py --no-video on every clip of the manifests, into a folder a clip, and resumes where it was
stopped. `compare` exits with 1 where any value differs. Runs take about ten minutes for 273 short clips on two cores.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tqdm import tqdm

from falldet.data.manifest import read_manifest
from falldet.errors import FalldetError
from falldet.extraction.clips import frame_dirs

logger = logging.getLogger(__name__)

KEYS = ("track_id", "start_s", "alert_s", "end_s", "peak_s", "score", "box", "lying_s", "long_lie")
"""Values of an event that are compared, where both versions have them."""

EVENTS = "events.jsonl"

Events = list[dict[str, Any]]


def run_clips(repo: Path, out: Path, clips: Mapping[str, Path], python: Path = Path(sys.executable)) -> list[str]:
    """Run the demo of the version in `repo` on every clip that has no result in `out`.

    Args:
        repo: a checkout of falldet.
        out: gets a folder a clip.
        clips: videos by the name of their folder.
        python: interpreter with falldet's dependencies.

    Returns:
        The names of the clips on which the demo failed.
    """
    failed = []
    environment = {**os.environ, "PYTHONPATH": str(repo)}
    for name, video in tqdm(clips.items(), unit="clip", disable=None):
        folder = out / name
        if (folder / EVENTS).exists():
            continue
        unfinished = out / f".{name}"  # a stopped run leaves no result that looks whole
        command = [str(python), str(repo / "tools" / "demo.py"), str(video), "--no-video", "--out-dir", str(unfinished)]
        done = subprocess.run(command, env=environment, cwd=repo, capture_output=True, text=True, check=False)
        if done.returncode:
            logger.error("%s: %s", name, done.stderr.strip().splitlines()[-1] if done.stderr else done.returncode)
            failed.append(name)
        else:
            unfinished.rename(folder)
    return failed


def read_events(path: Path) -> Events:
    """Return the events of a file by alert time; of several lines with one id, the last one.

    Lines without an id, of versions before there was one, are an event each.
    """
    lines = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    events = {line.get("id", index): line for index, line in enumerate(lines)}
    return sorted(events.values(), key=lambda event: (event["alert_s"], event["track_id"]))


def compare_clip(before: Events, after: Events) -> list[str]:
    """Return every difference between the events of a clip in two versions, in words."""
    if len(before) != len(after):
        return [f"{len(before)} events before, {len(after)} after"]
    return [
        f"event {index}: {key} {old[key]!r} before, {new[key]!r} after"
        for index, (old, new) in enumerate(zip(before, after, strict=True))
        for key in KEYS
        if key in old and key in new and old[key] != new[key]
    ]


def compare_folders(before: Path, after: Path) -> tuple[int, int, list[str]]:
    """Return the number of clips and of events in common, and every difference, in words.

    Raises:
        FalldetError: a folder holds no result.
    """
    folders = [{path.parent.name: path for path in folder.glob(f"[!.]*/{EVENTS}")} for folder in (before, after)]
    for folder, found in zip((before, after), folders, strict=True):
        if not found:
            raise FalldetError(f"{folder} holds no {EVENTS}; make some with the command run")
    differences = [f"{name}: only in {before}" for name in sorted(folders[0].keys() - folders[1].keys())]
    differences += [f"{name}: only in {after}" for name in sorted(folders[1].keys() - folders[0].keys())]
    shared, events = sorted(folders[0].keys() & folders[1].keys()), 0
    for name in shared:
        old, new = (read_events(found[name]) for found in folders)
        events += len(old)
        differences += [f"{name}: {text}" for text in compare_clip(old, new)]
    return len(shared), events, differences


def clip_names(manifests: Sequence[Path]) -> dict[str, Path]:
    """Return the videos of the manifests by a name for each: its path below the common folder, `__` for `/`."""
    videos = list(dict.fromkeys(clip.path for manifest in manifests for clip in read_manifest(manifest)))
    stems = frame_dirs(videos)
    return {
        f"{stem.removesuffix(video.suffix).replace('/', '__')}{video.suffix}": video.absolute()
        for stem, video in zip(stems, videos, strict=True)
    }


def parse_arguments(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Compare the events of two versions of falldet.")
    commands = parser.add_subparsers(dest="command", required=True)
    run = commands.add_parser("run", help="run the demo of a version on every clip")
    run.add_argument("--repo", type=Path, required=True, help="checkout of the version")
    run.add_argument("--out", type=Path, required=True, help="folder for the results")
    run.add_argument("manifests", type=Path, nargs="+", help="CSV files that list the clips")
    compare = commands.add_parser("compare", help="compare the results of two versions")
    compare.add_argument("before", type=Path)
    compare.add_argument("after", type=Path)
    return parser.parse_args(arguments)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run or compare; return the exit code."""
    options = parse_arguments(arguments)
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    try:
        if options.command == "run":
            clips = clip_names(options.manifests)
            failed = run_clips(options.repo.absolute(), options.out.absolute(), clips)
            sys.stdout.write(f"{len(clips) - len(failed)} clips in {options.out}, {len(failed)} failed\n")
            return 1 if failed else 0
        clips_compared, events, differences = compare_folders(options.before, options.after)
    except FalldetError as error:
        sys.stderr.write(f"error: {error}\n")
        return 2
    sys.stdout.write("".join(f"{line}\n" for line in differences))
    sys.stdout.write(f"{clips_compared} clips, {events} events, {len(differences)} differences\n")
    return 1 if differences else 0


if __name__ == "__main__":
    raise SystemExit(main())
