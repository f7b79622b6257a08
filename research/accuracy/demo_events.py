"""Event recall and precision of tools/demo.py itself, one process a clip, from the events.jsonl it writes.

python research/accuracy/demo_events.py MANIFEST.csv... --split test
"""

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path

from tqdm import tqdm

from falldet.data.manifest import read_manifest
from falldet.evaluation.replay import match_alerts

DEMO = Path(__file__).resolve().parents[2] / "tools" / "demo.py"


def main() -> None:
    """Run the demo on every clip and print misses, false alarms and the sums."""
    parser = argparse.ArgumentParser(description="Measure tools/demo.py on labeled clips.")
    parser.add_argument("manifests", type=Path, nargs="+")
    parser.add_argument("--root", type=Path)
    parser.add_argument("--split", default="test")
    arguments = parser.parse_args()
    clips = [clip for path in arguments.manifests for clip in read_manifest(path, arguments.root)]
    right = missed = false = 0
    for clip in tqdm([clip for clip in clips if clip.split == arguments.split], unit="clip"):
        with tempfile.TemporaryDirectory() as folder:
            command = [sys.executable, DEMO, clip.path, "--no-video", "--out-dir", folder]
            subprocess.run(command, check=True, capture_output=True)
            lines = (Path(folder) / "events.jsonl").read_text(encoding="utf-8").splitlines()
        falls = [(interval.start_s, interval.end_s) for interval in clip.fall_intervals]
        match = match_alerts(falls, [json.loads(line)["alert_s"] for line in lines])
        right, missed, false = (
            right + len(match.pairs),
            missed + len(match.false_negatives),
            false + len(match.false_positives),
        )
        if match.false_negatives or match.false_positives:
            tqdm.write(
                f"{clip.path}: {len(match.false_negatives)} missed, {len(match.false_positives)} false", file=sys.stdout
            )
    recall, precision = right / max(right + missed, 1), right / max(right + false, 1)
    sys.stdout.write(f"{right + missed} falls: recall {recall:.3f}, precision {precision:.3f}, {false} false alarms\n")


if __name__ == "__main__":
    main()
