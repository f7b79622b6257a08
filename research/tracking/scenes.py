"""Scenes of two to six people with known identity, composed from single-person clips.

A scene places several sources (research/tracking/sources.py) in one image, each at a size of its own: standing side by
side or changing places, with falls or without. A person who does not fall is played forwards and backwards in turn, and
so is what lies before a fall and after it; the descent is played once, forwards, at its own speed. Then the detections
get the faults of a pose model: joints jitter and drop out, people are missed, doubled and detected where no person is,
come late or leave early, are out of sight for 0.2 to 2 s, and the farther of two is hidden while the nearer covers most
of the box. All of it follows from the seed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from falldet.types import People
from research.tracking.actors import Actor, Walk
from research.tracking.sources import Source

KINDS = ("side by side", "crossing", "falls side by side", "falls and crossing")
RATES = (10.0, 15.0, 25.0, 30.0)
"""Frame rates, one of which a scene has."""

DURATION_S = 10.0
HIDDEN, HALF_HIDDEN = 0.65, 0.35
"""Share of the farther person's box that the nearer one's covers, from which the farther is hidden or hard to see."""

CLUTTER = -1
"""Identity of a detection where no person is."""


@dataclass(frozen=True, slots=True)
class SceneFrame:
    """One frame: the ground truth, and the detections of a pose model.

    Attributes:
        time_s: its time in seconds.
        true_ids: (N,) identities of the people in sight.
        true_boxes: (N, 4) their boxes, xyxy pixels.
        people: the M detected people.
        identities: (M,) identity of each detection, `CLUTTER` where no person is.
    """

    time_s: float
    true_ids: np.ndarray
    true_boxes: np.ndarray
    people: People
    identities: np.ndarray


@dataclass(frozen=True, slots=True)
class TrackingScene:
    """A composed scene: frames, and falls as (identity, start_s, end_s) of the descent."""

    name: str
    kind: str
    fps: float
    frames: list[SceneFrame]
    falls: list[tuple[int, float, float]]


@dataclass(frozen=True, slots=True)
class _Detection:
    identity: int
    points: np.ndarray  # (K + 2, 2): the joints, then the box's two corners
    scores: np.ndarray  # (K,)
    box_score: float


def compose(sources: Sequence[Source], kind: str, seed: int, count: int | None = None) -> TrackingScene:
    """Return the scene of a kind that follows from the seed.

    Args:
        sources: the people to choose from.
        kind: one of `KINDS`.
        seed: the same seed gives the same scene.
        count: number of people; 2 to 6, drawn, if not given.
    """
    generator = np.random.default_rng([KINDS.index(kind), seed])
    count = count or int(generator.integers(2, 7))
    fps = float(generator.choice(RATES))
    actors = _cast(sources, kind, count, generator)
    times = np.arange(0, DURATION_S, 1 / fps)
    times = times + generator.uniform(0, 0.2 / fps, len(times))  # the clock of a camera is not regular
    frames = [_frame(float(time_s), actors, generator) for time_s in times[generator.random(len(times)) > 0.02]]
    falls = [
        (identity, actor.fall_s, actor.fall_s + actor.source.fall[1] - actor.source.fall[0])
        for identity, actor in enumerate(actors)
        if actor.fall_s is not None and actor.source.fall is not None
    ]
    return TrackingScene(f"{kind} {seed}", kind, fps, frames, falls)


def _cast(sources: Sequence[Source], kind: str, count: int, generator: np.random.Generator) -> list[Actor]:
    """Choose and place the people of a scene."""
    standing = [source for source in sources if source.fall is None]
    falling = [source for source in sources if source.fall is not None]
    falls = int(generator.integers(1, min(count, 3))) if kind.startswith("falls") and count > 1 else 0
    chosen = [falling[i] for i in generator.permutation(len(falling))[:falls]]
    chosen += [standing[i] for i in generator.permutation(len(standing))[: count - falls]]
    slots = generator.permutation(count)
    spacing = generator.uniform(0.5, 1.0) * 170
    walks = _exchanges(slots, spacing, generator) if "crossing" in kind else [()] * count
    actors = []
    for number, source in enumerate(chosen):
        depth = float(generator.uniform(0, 1))
        size_px = 220 - 100 * depth
        ground = np.array([100 + spacing * slots[number] + generator.normal(0, 8), 240 - 60 * depth])
        fall_s = float(generator.uniform(2.5, 6.5)) if number < falls else None
        own = () if number < falls and generator.random() < 0.5 else walks[number]
        if fall_s is not None:
            own = tuple(walk for walk in own if walk[1] <= fall_s)
        phase_s = float(generator.uniform(0, source.time_s[-1]))
        actors.append(Actor(source, size_px, depth, ground, own, phase_s, fall_s, _stay(fall_s, generator)))
    for _ in range(int(generator.integers(1, 3))):
        start_s = float(generator.uniform(1.0, DURATION_S - 3))
        actors[int(generator.integers(count))].gaps.append((start_s, start_s + float(generator.uniform(0.2, 2.0))))
    return actors


def _stay(fall_s: float | None, generator: np.random.Generator) -> tuple[float, float]:
    """Return when a person comes and leaves: one in four comes late or, without a fall, leaves early."""
    late, early = generator.random(2) < 0.25
    start_s, stop_s = float(generator.uniform(0.5, 2.0)), float(generator.uniform(6.0, 9.0))
    return start_s if late else 0.0, stop_s if early and fall_s is None else DURATION_S


def _exchanges(slots: np.ndarray, spacing: float, generator: np.random.Generator) -> list[tuple[Walk, ...]]:
    """Return walks by which pairs of people change places, twice per scene.

    Args:
        slots: (N,) place of each person, counted from the left.
        spacing: distance of two places in pixels.
        generator: the only source of randomness.
    """
    walks: list[list[Walk]] = [[] for _ in slots]
    place = slots.copy()
    for start_s in (1.0, 5.5):
        pairs = generator.permutation(len(slots))
        for a, b in zip(pairs[::2], pairs[1::2], strict=False):
            begin_s = start_s + float(generator.uniform(0, 1.0))
            distance = spacing * (place[b] - place[a])
            duration_s = abs(distance) / generator.uniform(80, 160)
            walks[a].append((begin_s, begin_s + duration_s, float(distance)))
            walks[b].append((begin_s, begin_s + duration_s, -float(distance)))
            place[a], place[b] = place[b], place[a]
    return [tuple(each) for each in walks]


def _frame(time_s: float, actors: Sequence[Actor], generator: np.random.Generator) -> SceneFrame:
    """Return the frame at a time: who is in sight, and what is detected."""
    poses = [actor.source.at(actor.source_time(time_s)) for actor in actors]
    points = np.stack(
        [pose * actor.size_px + actor.position(time_s) for (pose, _, _), actor in zip(poses, actors, strict=True)]
    )  # (N, K + 2, 2)
    boxes = points[:, -2:].reshape(-1, 4)
    away = np.array([actor.is_away(time_s) for actor in actors])
    covered = _covered(boxes, np.where(away, np.inf, [actor.depth for actor in actors]))
    present = np.flatnonzero(~away & (covered < HIDDEN))
    undetected = generator.random(len(actors)) < np.where(covered > HALF_HIDDEN, 0.3, 0.03)
    jitter = np.where(covered > HALF_HIDDEN, 0.03, 0.015)
    found: list[_Detection] = []
    for identity in present[~undetected[present]].tolist():
        _, scores, box_score = poses[identity]
        size_px = actors[identity].size_px
        found.append(_detected(identity, points[identity], scores, box_score, size_px * jitter[identity], generator))
        if generator.random() < 0.02:  # one person detected twice
            twice = _detected(identity, points[identity], scores, box_score, size_px * 0.04, generator)
            found.append(
                _Detection(identity, twice.points, twice.scores, box_score * float(generator.uniform(0.4, 0.9)))
            )
    if generator.random() < 0.03:  # a detection where no person is
        shifted = points[int(generator.integers(len(points)))] + generator.normal(0, 150, 2)
        clutter = _detected(CLUTTER, shifted, poses[0][1], 0.0, 8.0, generator)
        found.append(_Detection(CLUTTER, clutter.points, clutter.scores, float(generator.uniform(0.1, 0.3))))
    found = [found[i] for i in generator.permutation(len(found))]
    identities = np.array([detection.identity for detection in found], dtype=np.int64)
    return SceneFrame(time_s, present, boxes[present], _people(found), identities)


def _detected(
    identity: int,
    points: np.ndarray,
    scores: np.ndarray,
    box_score: float,
    sigma_px: float,
    generator: np.random.Generator,
) -> _Detection:
    """Return a detection of points (K + 2, 2) with a jitter of `sigma_px`, one joint in twenty lost."""
    shaken = points + generator.normal(0, sigma_px, points.shape)
    return _Detection(identity, shaken, np.where(generator.random(len(scores)) < 0.05, 0, scores), box_score)


def _people(found: Sequence[_Detection]) -> People:
    if not found:
        return People.none()
    points = np.stack([detection.points for detection in found])
    scores = np.stack([detection.scores for detection in found])
    keypoints = np.where(scores[..., None] > 0, points[:, :-2], 0)
    box_scores = np.array([detection.box_score for detection in found])
    return People(keypoints, scores, points[:, -2:].reshape(-1, 4), box_scores)


def _covered(boxes: np.ndarray, depths: np.ndarray) -> np.ndarray:
    """Return the share (N,) of each box (N, 4) that the one nearer box that covers most of it covers."""
    low = np.maximum(boxes[:, None, :2], boxes[None, :, :2])
    high = np.minimum(boxes[:, None, 2:], boxes[None, :, 2:])
    common = np.prod(np.clip(high - low, 0, None), axis=2)
    own = np.prod(boxes[:, 2:] - boxes[:, :2], axis=1)
    nearer = depths[None] < depths[:, None]
    return np.where(nearer, common / np.maximum(own, 1)[:, None], 0).max(axis=1)
