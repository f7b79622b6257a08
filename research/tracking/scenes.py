"""Scenes of two to six people with known identity, composed from the poses of one person each.

A source is the clean stretch of a real clip in which exactly one person is seen. A scene places several sources in one
picture, at their own sizes: standing side by side or changing places, with falls among them or without. Whoever doesn't
fall is played to and fro for as long as the scene lasts, and so is what lies before a fall and after it; the going down
itself is played once, forwards, at its own speed. Then the scene is made hard, as a pose model would: joints tremble
and drop out, people are missed, doubled and seen where nobody is, come late or leave early, are out of sight for 0.2 to
2 s, and the farther of two is hidden while the nearer covers most of them. All of it follows from the seed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from falldet.data.manifest import ClipRecord
from falldet.evaluation.error_analysis import descent
from falldet.extraction.pose_cache import PoseCache, PoseSequence
from falldet.types import People

KINDS = ("side by side", "crossing", "falls side by side", "falls and crossing")
RATES = (10.0, 15.0, 25.0, 30.0)
DURATION_S = 10.0
CEILING = "cam1"
"""Part of the names of clips taken from the ceiling, which don't fit into one picture with the others."""

SEEN, ALONE = 0.15, 0.12  # the person's least score; nobody else in the frame may reach the other
HIDDEN, HALF_HIDDEN = 0.65, 0.35  # share of the farther person's box that the nearer one's covers
CLUTTER = -1
"""Identity of a detection where nobody is."""


@dataclass(frozen=True, slots=True)
class Source:
    """One person's poses over time, in units of their size, the origin at their hips.

    Attributes:
        name: of the clip.
        time_s: (T,) from 0.
        points: (T, K + 2, 2): the joints, then the box's two corners.
        scores: (T, K).
        box_scores: (T,).
        fall: start and end of the going down, or None.
    """

    name: str
    time_s: np.ndarray
    points: np.ndarray
    scores: np.ndarray
    box_scores: np.ndarray
    fall: tuple[float, float] | None

    def at(self, time_s: float) -> tuple[np.ndarray, np.ndarray, float]:
        """Return points, scores and box score at a moment, between two frames in proportion."""
        after = int(np.clip(np.searchsorted(self.time_s, time_s), 1, len(self.time_s) - 1))
        gap_s = self.time_s[after] - self.time_s[after - 1]
        share = float(np.clip((time_s - self.time_s[after - 1]) / gap_s, 0, 1))
        nearest = after if share > 0.5 else after - 1
        points = (1 - share) * self.points[after - 1] + share * self.points[after]
        seen = (self.scores[after - 1] > 0) & (self.scores[after] > 0)
        points[: len(seen)] = np.where(seen[:, None], points[: len(seen)], self.points[nearest, : len(seen)])
        return points, self.scores[nearest], float(self.box_scores[nearest])


@dataclass(frozen=True, slots=True)
class Actor:
    """One person of a scene.

    Attributes:
        source: their poses.
        size_px: their size.
        depth: the larger the farther.
        ground: (2,) where their hips are, pixels, before any walk.
        walks: (start_s, stop_s, dx): when they walk, and how many pixels to the right.
        phase_s: where in the source they begin.
        fall_s: when they fall, or None.
        stay: (start_s, stop_s) from when to when they are there.
        gaps: (start_s, stop_s) when they are out of sight.
    """

    source: Source
    size_px: float
    depth: float
    ground: np.ndarray
    walks: tuple[tuple[float, float, float], ...]
    phase_s: float
    fall_s: float | None
    stay: tuple[float, float]
    gaps: list[tuple[float, float]] = field(default_factory=list)

    def source_time(self, time_s: float) -> float:
        """Return the moment of the source that is played at a moment of the scene."""
        last_s = float(self.source.time_s[-1])
        if self.fall_s is None or self.source.fall is None:
            return _to_and_fro(self.phase_s + time_s, 0.0, last_s)
        start_s, end_s = self.source.fall
        if time_s < self.fall_s:
            return start_s - _to_and_fro(self.fall_s - time_s, 0.0, start_s)
        going_s = time_s - self.fall_s
        if going_s <= end_s - start_s:
            return start_s + going_s
        return _to_and_fro(going_s - (end_s - start_s), 0.0, last_s - end_s) + end_s

    def place(self, time_s: float) -> np.ndarray:
        """Return where the hips are (2,) in pixels."""
        moved = sum(dx * np.clip((time_s - a) / (b - a), 0, 1) for a, b, dx in self.walks)
        return self.ground + np.array([moved, 0.0])

    def is_away(self, time_s: float) -> bool:
        """Return whether they are out of sight."""
        return not self.stay[0] <= time_s < self.stay[1] or any(a <= time_s < b for a, b in self.gaps)


@dataclass(frozen=True, slots=True)
class SceneFrame:
    """One moment: the truth of who is in sight, (N,) identities and (N, 4) boxes, and what a pose model would see.

    `seen_ids` (M,) says for each seen person who it is, `CLUTTER` where nobody is.
    """

    time_s: float
    ids: np.ndarray
    boxes: np.ndarray
    seen: People
    seen_ids: np.ndarray


@dataclass(frozen=True, slots=True)
class TrackingScene:
    """A composed scene: frames, and falls as (identity, start_s, end_s)."""

    name: str
    kind: str
    fps: float
    frames: list[SceneFrame]
    falls: list[tuple[int, float, float]]


def read_sources(clips: Sequence[ClipRecord], cache: PoseCache) -> list[Source]:
    """Return the clean stretches of the clips, ceiling views and stretches below 1.2 s left out."""
    sources = []
    for clip in clips:
        if CEILING in clip.path.stem:
            continue
        falls = [descent(fall) for fall in clip.fall_intervals]
        source = _clean_stretch(clip.path.stem, cache.poses(clip.path), falls[0] if falls else None)
        if source is not None and (source.fall is not None) == bool(falls):
            sources.append(source)
    return sources


def compose(sources: Sequence[Source], kind: str, seed: int, count: int | None = None) -> TrackingScene:
    """Return the scene of a kind that follows from the seed, of 2 to 6 people unless their number is given."""
    generator = np.random.default_rng([KINDS.index(kind), seed])
    count = count or int(generator.integers(2, 7))
    fps = float(generator.choice(RATES))
    actors = _cast(sources, kind, count, generator)
    times = np.arange(0, DURATION_S, 1 / fps)
    times = times + generator.uniform(0, 0.2 / fps, len(times))  # no camera is quite regular
    frames = [_frame(float(time_s), actors, generator) for time_s in times[generator.random(len(times)) > 0.02]]
    falls = [
        (number, actor.fall_s, actor.fall_s + actor.source.fall[1] - actor.source.fall[0])
        for number, actor in enumerate(actors)
        if actor.fall_s is not None and actor.source.fall is not None
    ]
    return TrackingScene(f"{kind} {seed}", kind, fps, frames, falls)


def _clean_stretch(name: str, poses: PoseSequence, fall: tuple[float, float] | None) -> Source | None:
    """Return the longest stretch with exactly one person, or, in a clip with a fall, the one around it."""
    stops = np.cumsum(poses.counts)
    rows = []
    for stop, number in zip(stops, poses.counts, strict=True):
        scores = poses.box_scores[stop - number : stop]
        alone = number > 0 and scores.max() >= SEEN and (scores >= ALONE).sum() == 1
        rows.append(stop - number + int(np.argmax(scores)) if alone else -1)
    found = np.flatnonzero(np.array(rows) >= 0)
    if len(found) < 2:
        return None
    people = np.array(rows)[found]
    times, boxes = poses.time_s[found], poses.boxes[people]
    size = np.maximum(*(boxes[:, 2:] - boxes[:, :2]).T)
    moved = np.linalg.norm(np.diff((boxes[:, :2] + boxes[:, 2:]) / 2, axis=0), axis=1)
    breaks = np.flatnonzero((np.diff(times) > 0.3) | (moved > 0.4 * size[1:])) + 1
    stretches = np.split(np.arange(len(found)), breaks)
    if fall is not None:
        stretches = [s for s in stretches if times[s[0]] <= fall[0] - 0.1 and times[s[-1]] >= fall[1] + 0.1]
    chosen = max(stretches, key=len, default=None)
    if chosen is None or times[chosen[-1]] - times[chosen[0]] < 1.2:
        return None
    start_s = times[chosen[0]]
    unit = float(np.percentile(size[chosen], 90))
    keypoints = poses.keypoints[people[chosen]]
    corners = boxes[chosen].reshape(-1, 2, 2)
    origin = np.median(corners.mean(axis=1), axis=0)
    if fall is not None:
        origin = corners[np.searchsorted(times[chosen], fall[0])].mean(axis=0)
        fall = (fall[0] - start_s, fall[1] - start_s)
    points = (np.concatenate([keypoints, corners], axis=1) - origin) / unit
    return Source(
        name, times[chosen] - start_s, points, poses.scores[people[chosen]], poses.box_scores[people[chosen]], fall
    )


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
        size = 220 - 100 * depth
        ground = np.array([100 + spacing * slots[number] + generator.normal(0, 8), 240 - 60 * depth])
        fall_s = float(generator.uniform(2.5, 6.5)) if number < falls else None
        own = () if number < falls and generator.random() < 0.5 else walks[number]
        if fall_s is not None:
            own = tuple(walk for walk in own if walk[1] <= fall_s)
        phase_s = float(generator.uniform(0, source.time_s[-1]))
        actors.append(Actor(source, size, depth, ground, own, phase_s, fall_s, _stay(fall_s, generator)))
    for _ in range(int(generator.integers(1, 3))):
        start_s = float(generator.uniform(1.0, DURATION_S - 3))
        actors[int(generator.integers(count))].gaps.append((start_s, start_s + float(generator.uniform(0.2, 2.0))))
    return actors


def _stay(fall_s: float | None, generator: np.random.Generator) -> tuple[float, float]:
    """Return from when to when somebody is there: one in four comes late or, without a fall, leaves early."""
    late, early = generator.random(2) < 0.25
    start_s, stop_s = float(generator.uniform(0.5, 2.0)), float(generator.uniform(6.0, 9.0))
    return start_s if late else 0.0, stop_s if early and fall_s is None else DURATION_S


def _exchanges(
    slots: np.ndarray, spacing: float, generator: np.random.Generator
) -> list[tuple[tuple[float, float, float], ...]]:
    """Return walks by which pairs of people change places, twice in a scene."""
    walks: list[list[tuple[float, float, float]]] = [[] for _ in slots]
    where = slots.copy()
    for start_s in (1.0, 5.5):
        pairs = generator.permutation(len(slots))
        for a, b in zip(pairs[::2], pairs[1::2], strict=False):
            begin_s = start_s + float(generator.uniform(0, 1.0))
            way = spacing * (where[b] - where[a])
            lasts_s = abs(way) / generator.uniform(80, 160)
            walks[a].append((begin_s, begin_s + lasts_s, float(way)))
            walks[b].append((begin_s, begin_s + lasts_s, -float(way)))
            where[a], where[b] = where[b], where[a]
    return [tuple(each) for each in walks]


def _frame(time_s: float, actors: Sequence[Actor], generator: np.random.Generator) -> SceneFrame:
    """Appearance at everybody at one moment."""
    posed = [(*actor.source.at(actor.source_time(time_s)), actor) for actor in actors]
    points = np.stack([pose * actor.size_px + actor.place(time_s) for pose, _, _, actor in posed])  # (N, K + 2, 2)
    boxes = points[:, -2:].reshape(-1, 4)
    away = np.array([actor.is_away(time_s) for actor in actors])
    covered = _covered(boxes, np.where(away, np.inf, [actor.depth for actor in actors]))
    present = np.flatnonzero(~away & (covered < HIDDEN))
    missed = generator.random(len(actors)) < np.where(covered > HALF_HIDDEN, 0.3, 0.03)
    trembling = np.where(covered > HALF_HIDDEN, 0.03, 0.015)
    seen: list[tuple[int, np.ndarray, np.ndarray, float]] = []
    for number in present:
        pose, scores, box_score = points[number], posed[number][1], posed[number][2]
        if missed[number]:
            continue
        size = actors[number].size_px
        seen.append((int(number), *_observed(pose, scores, size * trembling[number], generator), box_score))
        if generator.random() < 0.02:  # one person seen twice
            twice = _observed(pose, scores, size * 0.04, generator)
            seen.append((int(number), *twice, box_score * float(generator.uniform(0.4, 0.9))))
    if generator.random() < 0.03:  # nobody there
        pose = points[int(generator.integers(len(points)))] + generator.normal(0, 150, 2)
        seen.append((CLUTTER, *_observed(pose, posed[0][1], 8.0, generator), float(generator.uniform(0.1, 0.3))))
    seen = [seen[i] for i in generator.permutation(len(seen))]
    return SceneFrame(
        time_s, present, boxes[present], _people(seen), np.array([number for number, *_ in seen], dtype=np.int64)
    )


def _observed(
    points: np.ndarray, scores: np.ndarray, sigma: float, generator: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Return the points (K + 2, 2), trembling by `sigma` pixels, and the scores (K,), one joint in twenty lost."""
    shaken = points + generator.normal(0, sigma, points.shape)
    return shaken, np.where(generator.random(len(scores)) < 0.05, 0, scores)


def _people(seen: Sequence[tuple[int, np.ndarray, np.ndarray, float]]) -> People:
    if not seen:
        return People.none()
    points = np.stack([pose for _, pose, _, _ in seen])
    scores = np.stack([score for _, _, score, _ in seen])
    keypoints = np.where(scores[..., None] > 0, points[:, :-2], 0)
    return People(keypoints, scores, points[:, -2:].reshape(-1, 4), np.array([box_score for *_, box_score in seen]))


def _covered(boxes: np.ndarray, depths: np.ndarray) -> np.ndarray:
    """Return which share (N,) of each box the one nearer person covers who covers most of it."""
    low = np.maximum(boxes[:, None, :2], boxes[None, :, :2])
    high = np.minimum(boxes[:, None, 2:], boxes[None, :, 2:])
    common = np.prod(np.clip(high - low, 0, None), axis=2)
    own = np.prod(boxes[:, 2:] - boxes[:, :2], axis=1)
    nearer = depths[None] < depths[:, None]
    return np.where(nearer, common / np.maximum(own, 1)[:, None], 0).max(axis=1)


def _to_and_fro(time_s: float, start_s: float, stop_s: float) -> float:
    """Return a moment between the two, running forwards and backwards in turn."""
    length_s = max(stop_s - start_s, 1e-6)
    phase = time_s % (2 * length_s)
    return start_s + (phase if phase <= length_s else 2 * length_s - phase)
