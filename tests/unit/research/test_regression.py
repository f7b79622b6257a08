"""Events of two versions compared: what counts as a difference, and runs that resume."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from research.regression.compare_events import clip_names, compare_clip, main, read_events, run_clips

EVENT = {
    "track_id": 1,
    "start_s": 1.0,
    "alert_s": 1.5,
    "end_s": None,
    "peak_s": 1.7,
    "score": 0.99,
    "box": [1, 2, 3, 4],
}

DEMO = """
import sys
from pathlib import Path
video, out = sys.argv[1], Path(sys.argv[sys.argv.index("--out-dir") + 1])
assert "--no-video" in sys.argv
with (Path(__file__).parent / "runs").open("a") as runs:
    runs.write(Path(video).name + "\\n")
out.mkdir(parents=True, exist_ok=True)
(out / "events.jsonl").write_text("")
if "bad" in video:
    sys.exit("error: can't read it")
"""


def write(folder: Path, clip: str, *events: dict) -> None:
    (folder / clip).mkdir(parents=True)
    (folder / clip / "events.jsonl").write_text("".join(json.dumps(event) + "\n" for event in events))


def test_read_events_takes_the_last_line_of_an_id(tmp_path: Path) -> None:
    first, second = EVENT | {"id": "a-2", "alert_s": 9.0}, EVENT | {"id": "a-1"}
    write(tmp_path, "clip", first, second, second | {"lying_s": 3.0})
    assert read_events(tmp_path / "clip" / "events.jsonl") == [second | {"lying_s": 3.0}, first]
    write(tmp_path, "old", EVENT, EVENT | {"alert_s": 9.0})  # no id: an event each
    assert len(read_events(tmp_path / "old" / "events.jsonl")) == 2


@pytest.mark.parametrize(
    ("changes", "differences"),
    [
        ({}, []),
        ({"id": "a-1", "lying_s": 3.0}, []),  # not in both versions
        ({"end_s": 4.0}, ["event 0: end_s None before, 4.0 after"]),
        (
            {"score": 0.9901, "box": [1, 2, 3, 5]},
            ["event 0: score 0.99 before, 0.9901 after", "event 0: box [1, 2, 3, 4] before, [1, 2, 3, 5] after"],
        ),
    ],
)
def test_compare_clip_names_every_difference(changes: dict, differences: list[str]) -> None:
    assert compare_clip([EVENT], [EVENT | changes]) == differences


def test_compare_clip_tells_of_another_number_of_events() -> None:
    assert compare_clip([EVENT], []) == ["1 events before, 0 after"]


def test_main_compares_folders(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before, after = tmp_path / "before", tmp_path / "after"
    for folder in (before, after):
        write(folder, "a.mp4", EVENT)
        write(folder, "b.mp4")
    assert main(["compare", str(before), str(after)]) == 0
    assert capsys.readouterr().out == "2 clips, 1 events, 0 differences\n"
    write(after, "c.mp4")
    write(after, ".d.mp4")  # of a stopped run
    (after / "a.mp4" / "events.jsonl").write_text(json.dumps(EVENT | {"alert_s": 1.6}))
    assert main(["compare", str(before), str(after)]) == 1
    out = capsys.readouterr().out
    assert "a.mp4: event 0: alert_s 1.5 before, 1.6 after" in out
    assert f"c.mp4: only in {after}" in out
    assert "2 clips, 1 events, 2 differences" in out
    assert main(["compare", str(before), str(tmp_path / "none")]) == 2


def test_run_clips_resumes_and_tells_of_failures(tmp_path: Path) -> None:
    repo, out = tmp_path / "repo", tmp_path / "out"
    (repo / "tools").mkdir(parents=True)
    (repo / "tools" / "demo.py").write_text(DEMO)
    clips = {"fall__a.mp4": Path("/v/a.mp4"), "fall__bad.mp4": Path("/v/bad.mp4")}
    assert run_clips(repo, out, clips) == ["fall__bad.mp4"]
    assert run_clips(repo, out, clips) == ["fall__bad.mp4"]
    assert (repo / "tools" / "runs").read_text().split() == ["a.mp4", "bad.mp4", "bad.mp4"]
    assert (out / "fall__a.mp4" / "events.jsonl").exists()
    assert not (out / "fall__bad.mp4").exists()


def test_clip_names_are_paths_below_the_common_folder(tmp_path: Path) -> None:
    for name in ("one", "two"):
        (tmp_path / name / "fall").mkdir(parents=True)
        (tmp_path / name / "fall" / "a.mp4").touch()
        (tmp_path / name / "manifest.csv").write_text(f"path,label\n{name}/fall/a.mp4,fall\n")
    names = clip_names([tmp_path / name / "manifest.csv" for name in ("one", "two")])
    assert list(names) == ["one__fall__a.mp4", "two__fall__a.mp4"]
