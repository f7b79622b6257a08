"""Fall events on labeled keypoint clips, such as FallVision's, through tracker, windows, recognizer and event rule.

python research/accuracy/keypoint_events.py data/fallvision.pkl --split val [--checkpoint X.onnx]

A clip's label is all that is known for sure, so any alert within a fall clip is right, and a second one is false.
"""

import argparse
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

from tqdm import tqdm

from falldet.config import read_settings
from falldet.data.annotations import load_annotations
from falldet.data.manifest import ClipRecord, FallInterval
from falldet.evaluation.replay import ReplayedClip, replay_clip, sweep
from falldet.extraction.pose_cache import PoseSequence
from falldet.geometry import keypoint_boxes
from falldet.pipeline.detector import Pipeline, Settings
from falldet.pose.source import NoPoseSource

CONFIG = Path(__file__).resolve().parents[2] / "configs" / "demo.py"


def main() -> None:
    """Print recall, precision and F1 at several alert scores."""
    parser = argparse.ArgumentParser(description="Measure fall events on labeled keypoint clips.")
    parser.add_argument("annotations", type=Path)
    parser.add_argument("--split", default="val")
    parser.add_argument("--checkpoint", default="stgcn_fall")
    arguments = parser.parse_args()
    settings = Settings.from_groups(read_settings(CONFIG))
    settings = replace(settings, recognizer=replace(settings.recognizer, checkpoint=arguments.checkpoint))
    pipeline = Pipeline(settings, pose_source=NoPoseSource())
    contents = load_annotations(arguments.annotations)
    chosen = set(contents["split"][arguments.split])
    clips = [annotation for annotation in contents["annotations"] if annotation["frame_dir"] in chosen]
    observed = [observed_clip(annotation, pipeline) for annotation in tqdm(clips, unit="clip")]
    for score, figures in sweep(observed, settings, (0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.85, 0.9, 0.95, 0.97, 0.99)):
        sys.stdout.write(
            f"alert score {score:4g}: recall {figures.recall or 0:.3f} ({figures.true_positives} of {figures.falls})  precision "
            f"{figures.precision or 0:.3f} ({figures.false_positives} false)  F1 {figures.f1 or 0:.3f}\n"
        )


def observed_clip(annotation: dict[str, Any], pipeline: Pipeline) -> ReplayedClip:
    """Return what the first half of the chain makes of a clip's first person."""
    keypoints, scores = annotation["keypoint"][0], annotation["keypoint_score"][0]
    seen = (scores > 0).any(axis=1)  # (T,)
    boxes, box_scores = keypoint_boxes(keypoints[seen], scores[seen]), scores[seen].mean(axis=1)
    times = annotation["time_s"]
    poses = PoseSequence(
        times, seen.astype(int), keypoints[seen], scores[seen], boxes, box_scores, annotation["img_shape"]
    )
    falls = (FallInterval(0.0, float(times[-1]) + 0.1, True),) if annotation["label"] else ()
    name = annotation["frame_dir"]
    return replay_clip(ClipRecord(Path(name), annotation["label"], name, None, falls), poses, pipeline)


if __name__ == "__main__":
    main()
