"""Settings of former versions: the renamed ones with their new names, the replaced ones with what replaced them."""

from __future__ import annotations

from falldet.errors import FalldetError

GROUPS = {"pace": "sampling", "recogniser": "recognizer"}
"""Groups whose settings keep their names unless `SETTINGS` says otherwise."""

SETTINGS = {
    "topdown.detect_every": "topdown.det_interval",
    "topdown.carry_pictures": "topdown.max_undetected_frames",
    "pace.poses_per_s": "sampling.active_fps",
    "pace.still_poses_per_s": "sampling.idle_fps",
    "pace.moving_speed": "sampling.motion_threshold",
    "pace.moving_s": "sampling.motion_hold_s",
    "pace.empty_s": "sampling.empty_hold_s",
    "pace.wake_score": "sampling.full_rate_threshold",
    "pace.wake_s": "sampling.full_rate_hold_s",
    "tracker.gate_iou": "tracker.min_iou",
    "tracker.square_scale": "tracker.box_scale",
    "tracker.birth_frames": "tracker.min_hits",
    "tracker.birth_score": "tracker.new_track_threshold",
    "tracker.memory_s": "tracker.max_lost_s",
    "tracker.fade_s": "tracker.lost_decay_s",
    "tracker.recall_reach": "tracker.reassoc_radius",
    "tracker.recall_speed": "tracker.reassoc_speed",
    "tracker.recall_size": "tracker.reassoc_max_ratio",
    "fusion.patience_s": "fusion.max_wait_s",
    "fusion.record_rule": "fusion.final_rule",
    "events.alert_score": "events.alert_threshold",
    "events.lying_degree": "events.lying_threshold",
    "events.upright_degree": "events.upright_threshold",
}


_ON_EVIDENCE = "events are decided on the mean score of a track's last fusion.evidence_windows windows"
_NO_POSTURE = "evidence alone raises an alert; choose events.sensitivity, or set events.alert_threshold"
_LOW = "a run of evidence ends below events.low_share of the alert threshold"

REPLACED = {
    "fusion.rule": _ON_EVIDENCE,
    "fusion.latency_s": _ON_EVIDENCE,
    "fusion.delay_s": _ON_EVIDENCE,
    "events.low_threshold": _LOW,
    "events.keep_score": _LOW,
    "events.immediate_threshold": _NO_POSTURE,
    "events.sure_score": _NO_POSTURE,
    "events.lying_hold_s": _NO_POSTURE,
    "events.hold_s": _NO_POSTURE,
    "events.confirm_s": _NO_POSTURE,
}
"""Settings that are gone, and what replaced them."""


def new_name(name: str) -> str | None:
    """Return what a `group.key` or a group is called now; None where its name has not changed."""
    group, dot, key = name.partition(".")
    return SETTINGS.get(name) or (f"{GROUPS[group]}{dot}{key}" if group in GROUPS else None)


def refuse_old_name(name: str) -> None:
    """Raise FalldetError, which tells the new name or what replaced it, where `name` is a former setting or group."""
    if name in REPLACED:
        raise FalldetError(f"{name} has been replaced: {REPLACED[name]}")
    new = new_name(name)
    if new is not None:
        raise FalldetError(f"{name} has been renamed: it is {new} now")
