"""Values tried for the trackers' settings: the peers' to choose from, falldet's to show the effect of each."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

Grid = dict[str, Sequence[Any]]
GRID: dict[str, tuple[str, Grid]] = {
    "ByteTrack": (
        "bytetrack",
        {
            "lost_track_buffer": (30, 90),
            "track_activation_threshold": (0.15,),
            "high_conf_det_threshold": (0.15,),
            "minimum_iou_threshold": (0.05, 0.1, 0.2, 0.3),
        },
    ),
    "ByteTrack, buffered IoU": (
        "bytetrack",
        {
            "lost_track_buffer": (30, 90),
            "track_activation_threshold": (0.15,),
            "high_conf_det_threshold": (0.15,),
            "minimum_iou_threshold": (0.1, 0.2),
            "buffer_ratio": (0.2, 0.4),
        },
    ),
    "OC-SORT": (
        "ocsort",
        {
            "lost_track_buffer": (30, 90),
            "high_conf_det_threshold": (0.12,),
            "minimum_iou_threshold": (0.05, 0.1, 0.2, 0.3),
            "direction_consistency_weight": (0.2,),
        },
    ),
    "C-BIoU": (
        "cbiou",
        {
            "lost_track_buffer": (30, 90),
            "track_activation_threshold": (0.15,),
            "high_conf_det_threshold": (0.15,),
            "minimum_iou_threshold_first_assoc": (0.05, 0.1, 0.2, 0.3),
            "minimum_iou_threshold_second_assoc": (0.3,),
        },
    ),
}
"""Peer -> its kind and the values it is tuned over; `lost_track_buffer` counts thirtieths of a second."""
GREEDY_GRID: Grid = {"min_iou": (0.05, 0.1, 0.2, 0.3), "max_lost_s": (0.5, 1.0, 2.0, 3.0)}

TRACKER_VALUES: dict[str, tuple[Any, ...]] = {
    "min_iou": (0.1, 0.2, 0.3),
    "pose_weight": (0.0, 0.5, 0.75, 1.0),
    "box_scale": (1.0, 1.25, 1.5),
    "min_hits": (1, 2, 3, 5),
    "max_lost_s": (0.5, 1.5, 3.0, 5.0),
    "lost_decay_s": (0.3, 1.0, 10.0),
    "duplicate_similarity": (0.5, 0.6, 0.7, 1.1),
    "velocity_memory_s": (0.05, 0.1, 0.2, 0.4),
    "coast_s": (0.2, 0.6, 1.0, 2.0),
    "reassoc_radius": (0.0, 0.4, 0.8, 1.2),
    "reassoc_speed": (0.0, 0.5, 1.0, 2.0),
    "reassoc_max_ratio": (1.2, 1.5, 2.0),
}
"""Setting of falldet's tracker -> the values it is given, one setting at a time."""
