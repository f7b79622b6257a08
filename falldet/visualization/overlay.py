"""Draws people, scores and falls onto frames."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import cv2
import numpy as np

from falldet.geometry import Polygon
from falldet.skeleton import EDGES, LEFT_JOINTS, RIGHT_JOINTS
from falldet.types import NO_TRACK, Event, EventState, People

RED = (48, 48, 224)
WHITE = (245, 245, 245)
DARK = (40, 40, 40)
GRAY = (150, 150, 150)
TRACK_COLORS = (
    (219, 152, 52),
    (96, 174, 39),
    (18, 156, 243),
    (182, 89, 155),
    (173, 173, 26),
    (60, 180, 230),
)
"""Colors of tracks, BGR, taken in turn by track id; none is near the red of an alert."""

_FONT = cv2.FONT_HERSHEY_DUPLEX


def draw_overlay(
    image: np.ndarray,
    people: People,
    scores: Mapping[int, float],
    events: Mapping[int, Event],
    alert_threshold: float,
    ignore_zones: Sequence[Polygon] = (),
    skeleton_only: bool = False,
    last_boxes: Mapping[int, np.ndarray] | None = None,
) -> np.ndarray:
    """Return a copy of `image` with skeletons, track ids, score bars and, during an event, a red frame and "FALL".

    A person who has fallen and has no skeleton any more is marked by the corners of a box at the last place.

    Args:
        image: (H, W, 3) uint8 BGR; left as it is.
        people: with track ids; people without one are drawn in gray.
        scores: latest score of each person by track id, in [0, 1].
        events: the events in progress, by track id.
        alert_threshold: marked on the score bars.
        ignore_zones: polygons in normalized image coordinates, outlined.
        skeleton_only: draw on black, so that no person can be recognized.
        last_boxes: by track id, where a person with an event was last seen, x0 y0 x1 y1 in pixels; by default the box
            at the alert.
    """
    image = np.zeros_like(image) if skeleton_only else image.copy()
    draw_zones(image, ignore_zones)
    unit = max(image.shape[0], image.shape[1]) / 640  # line widths and letters grow with the image
    for row in range(len(people)):
        track_id = int(people.track_ids[row])
        color = GRAY if track_id == NO_TRACK else TRACK_COLORS[track_id % len(TRACK_COLORS)]
        if track_id in events:
            color = RED
        draw_skeleton(image, people.keypoints[row], people.scores[row], color, unit)
        if track_id != NO_TRACK:
            score = scores.get(track_id, 0.0)
            _draw_label(image, people.boxes[row], f"#{track_id}", score, alert_threshold, color, unit)
    visible = {int(track_id) for track_id in people.track_ids}
    for track_id, event in events.items():
        if track_id not in visible:
            _draw_last_place(
                image, (last_boxes or {}).get(track_id, np.array(event.box)), f"#{track_id} last seen here", unit
            )
    if events:
        _draw_alarm(image, list(events.values()), unit)
    return image


def draw_zones(image: np.ndarray, zones: Sequence[Polygon]) -> None:
    """Outline polygons, corners in normalized image coordinates, in place."""
    unit = max(image.shape[:2]) / 640
    size = np.array([image.shape[1] - 1, image.shape[0] - 1])
    for zone in zones:
        corners = np.rint(np.array(zone) * size).astype(np.int32)
        left, top = corners.min(axis=0)
        place = (int(left + 4 * unit), int(top + 14 * unit))
        thin = max(1, round(unit))
        for color, thickness in ((DARK, 3 * thin), (WHITE, thin)):
            cv2.polylines(image, [corners], True, color, thickness, cv2.LINE_AA)
            cv2.putText(image, "ignored", place, _FONT, 0.4 * unit, color, thickness, cv2.LINE_AA)


def draw_skeleton(
    image: np.ndarray, keypoints: np.ndarray, scores: np.ndarray, color: tuple[int, int, int], unit: float = 1.0
) -> None:
    """Draw one pose, keypoints (K, 2) in pixels and scores (K,), in place; missing joints are not drawn."""
    points = [(round(float(x)), round(float(y))) for x, y in keypoints]
    width = max(1, round(2 * unit))
    for start, stop in EDGES:
        if scores[start] > 0 and scores[stop] > 0:
            cv2.line(image, points[start], points[stop], color, width, cv2.LINE_AA)
    for joint, point in enumerate(points):
        if scores[joint] > 0:
            fill = WHITE if joint in LEFT_JOINTS else DARK if joint in RIGHT_JOINTS else color
            cv2.circle(image, point, max(2, round(3 * unit)), color, -1, cv2.LINE_AA)
            cv2.circle(image, point, max(1, round(1.5 * unit)), fill, -1, cv2.LINE_AA)


def _draw_label(
    image: np.ndarray,
    box: np.ndarray,
    name: str,
    score: float,
    alert_threshold: float,
    color: tuple[int, int, int],
    unit: float,
) -> None:
    """Draw the track id and a bar that fills with the score, with a tick at the alert threshold, above the box."""
    scale, bar_w, bar_h = 0.45 * unit, round(60 * unit), max(3, round(7 * unit))
    (text_w, text_h), _ = cv2.getTextSize(name, _FONT, scale, 1)
    pad = round(3 * unit)
    plate_w, plate_h = text_w + bar_w + 3 * pad, max(text_h, bar_h) + 2 * pad
    left = int(np.clip(round(float(box[0])), 0, max(0, image.shape[1] - plate_w)))
    top = int(np.clip(round(float(box[1])) - plate_h - pad, 0, max(0, image.shape[0] - plate_h)))
    plate = image[top : top + plate_h, left : left + plate_w]
    plate[...] = (plate * 0.3 + np.array(DARK) * 0.7).astype(np.uint8)
    middle = top + plate_h // 2
    cv2.putText(image, name, (left + pad, middle + text_h // 2), _FONT, scale, WHITE, 1, cv2.LINE_AA)
    bar_left, bar_top = left + text_w + 2 * pad, middle - bar_h // 2
    cv2.rectangle(image, (bar_left, bar_top), (bar_left + bar_w, bar_top + bar_h), GRAY, 1, cv2.LINE_AA)
    filled = round(bar_w * min(max(score, 0.0), 1.0))
    fill = RED if score >= alert_threshold else color
    cv2.rectangle(image, (bar_left, bar_top), (bar_left + filled, bar_top + bar_h), fill, -1)
    tick = bar_left + round(bar_w * alert_threshold)
    cv2.line(image, (tick, bar_top - 1), (tick, bar_top + bar_h + 1), WHITE, 1)


def _draw_last_place(image: np.ndarray, box: np.ndarray, text: str, unit: float) -> None:
    """Draw the four corners of a box in red, with a line of text above or, at the upper border, below."""
    height, width = image.shape[:2]
    inset = max(4, round(8 * unit))  # the frame of the alarm stays free
    x0, x1 = (int(np.clip(round(float(x)), inset, width - 1 - inset)) for x in box[::2])
    y0, y1 = (int(np.clip(round(float(y)), inset, height - 1 - inset)) for y in box[1::2])
    reach = max(3, round(min(max(x1 - x0, y1 - y0) / 4, 24 * unit)))
    for color, thickness in ((WHITE, 2 + round(3 * unit)), (RED, 1 + round(1.5 * unit))):
        for x, towards_x in ((x0, 1), (x1, -1)):
            for y, towards_y in ((y0, 1), (y1, -1)):
                cv2.line(image, (x, y), (x + towards_x * reach, y), color, thickness, cv2.LINE_AA)
                cv2.line(image, (x, y), (x, y + towards_y * reach), color, thickness, cv2.LINE_AA)
    scale, pad = 0.45 * unit, round(4 * unit)
    (text_w, text_h), below = cv2.getTextSize(text, _FONT, scale, 1)
    left = max(0, min(x0, width - text_w - pad))
    above = y0 - 3 * pad
    bottom = above if above - text_h > 60 * unit else y1 + text_h + 3 * pad  # the title of the alarm stays free
    cv2.rectangle(image, (left - pad, bottom - text_h - pad), (left + text_w + pad, bottom + below), RED, -1)
    cv2.putText(image, text, (left, bottom), _FONT, scale, WHITE, 1, cv2.LINE_AA)


def _draw_alarm(image: np.ndarray, events: list[Event], unit: float) -> None:
    """Draw the red frame and, in the top left corner, "FALL" with the track ids and their state."""
    height, width = image.shape[:2]
    thick = max(4, round(8 * unit))
    cv2.rectangle(image, (0, 0), (width - 1, height - 1), RED, thick)
    tracks = ", ".join(f"#{event.track_id}{' fallen' if event.state is EventState.FALLEN else ''}" for event in events)
    text, scale = f"FALL  {tracks}", 0.8 * unit
    (text_w, text_h), below = cv2.getTextSize(text, _FONT, scale, 1)
    pad = round(6 * unit)
    cv2.rectangle(image, (0, 0), (text_w + 2 * pad + thick, text_h + below + 2 * pad), RED, -1)
    cv2.putText(image, text, (thick, text_h + pad + thick // 2), _FONT, scale, WHITE, 1, cv2.LINE_AA)
