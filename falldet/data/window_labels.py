"""Training samples: an annotated clip cut into the windows that the pipeline would score, each with its own label.

A window's label says whether a fall has just happened when it ends:

    not a fall | start of the descent: ignored | begin_share of it: FALL | end + after_s: ignored | end + ignored_s: not

"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from falldet.data.annotations import Annotation
from falldet.data.fallen_tracks import fallen_tracks
from falldet.data.track_observations import Rate, TrackObservations, observe_tracks
from falldet.stages.windows import WindowSettings
from falldet.types import Window

FALL = 1
NOT_FALL = 0
IGNORED = -1

SEEN_SHARE = 0.3
"""Share of a descent, at its end, over which a track must have been seen for its windows to be falls."""

OBSERVED_S = 0.3
"""Time before `begin_share` of the descent from which the person must have been observed, seconds."""


@dataclass(frozen=True, slots=True)
class TargetSettings:
    """Times at which the end of a window makes it a fall.

    Attributes:
        begin_share: share of the descent from which on the fall has happened. Higher: later alerts, clearer falls.
        after_s: seconds after the end of the descent until which it has just happened. Higher: longer evidence.
        ignored_s: seconds after the end of the descent until which other windows are left out.
    """

    begin_share: float = 0.7
    after_s: float = 2.0
    ignored_s: float = 4.5


@dataclass(frozen=True, slots=True)
class DrawSettings:
    """Random variation of the windows of training clips; the defaults give the pipeline's own windows.

    Attributes:
        rates: rates of pose estimation, each of which gives all its windows: `SamplingSettings.active_fps`, 0 for every
            frame, or a pair of `active_fps` and `idle_fps`.
        fall_copies: windows for every stride of time in which a fall has just happened.
        copies: the same for all other windows; at most `fall_copies`, and fractions thin them out.
        slowest: a window holds at least this many times its length, so that its motion is as much faster.
        fastest: a window holds at most this many times its length.
        jitter: whether windows end anywhere within a stride.
        seed: seed of all of it.
    """

    rates: tuple[Rate, ...] = ((15.0, 5.0),)
    fall_copies: int = 1
    copies: float = 1.0
    slowest: float = 1.0
    fastest: float = 1.0
    jitter: bool = False
    seed: int = 0


@dataclass(frozen=True, slots=True)
class LabeledWindow:
    """A window and whether it is `FALL` or `NOT_FALL`."""

    window: Window
    label: int


def label_windows(
    annotation: Annotation,
    settings: WindowSettings | None = None,
    target: TargetSettings | None = None,
    draw: DrawSettings | None = None,
) -> list[LabeledWindow]:
    """Cut one annotated clip into windows, each labeled `FALL` or `NOT_FALL`; ignored ones are left out.

    The person who falls is the one of the track that moves most during the descent (`fallen_tracks`); windows of other
    people around a fall are ignored. So are those of a person who came into sight late in the descent. A clip with a
    fall of unknown time gives no window.

    Args:
        annotation: a clip with `time_s` and `fall_intervals`, the times of the descents.
        settings: how tracks are cut into windows.
        target: which windows are falls.
        draw: rates, speeds and copies.
    """
    settings = (settings or WindowSettings()).for_recognizer(None)
    target, draw = target or TargetSettings(), draw or DrawSettings()
    descents = [(start_s, end_s) for start_s, end_s in annotation.get("fall_intervals", [])]
    if annotation["label"] and not descents:
        return []
    falls = [(descent, fallen_tracks(annotation, *descent)) for descent in descents]
    rng = np.random.default_rng([draw.seed, *annotation["frame_dir"].encode()])
    found: list[LabeledWindow] = []
    for rate in draw.rates:
        for track in observe_tracks(annotation, rate):
            found += _track_windows(track, annotation, falls, (settings, target, draw), rng)
    return found


def _track_windows(
    track: TrackObservations,
    annotation: Annotation,
    falls: Sequence[tuple[tuple[float, float], set[int]]],
    how: tuple[WindowSettings, TargetSettings, DrawSettings],
    rng: np.random.Generator,
) -> Iterator[LabeledWindow]:
    settings, target, draw = how
    first_s = float(annotation["time_s"][0])
    strides = np.arange(1, np.ceil((track.time_s[-1] + settings.linger_s - first_s) / settings.stride_s) + 1)
    for stop_s in first_s + strides * settings.stride_s:
        for _ in range(draw.fall_copies):
            end_s = float(stop_s) + (rng.uniform(0, settings.stride_s) if draw.jitter else 0.0)
            count = track.due_at(end_s, settings)
            if not count:
                continue
            label = label_of(track, end_s, falls, target)
            if label == IGNORED or (label == NOT_FALL and rng.random() * draw.fall_copies >= draw.copies):
                continue
            speed = float(np.exp(rng.uniform(np.log(draw.slowest), np.log(draw.fastest))))
            yield LabeledWindow(track.window(end_s, count, settings.length_s * speed, annotation["img_shape"]), label)


def label_of(
    track: TrackObservations,
    stop_s: float,
    falls: Sequence[tuple[tuple[float, float], set[int]]],
    target: TargetSettings,
) -> int:
    """Return `FALL`, `NOT_FALL` or `IGNORED` for the window of `track` that ends at `stop_s`.

    Args:
        track: the track, observed before `stop_s` at least once.
        stop_s: end of the window, seconds.
        falls: start and end of each descent in seconds, with the track ids of the person who falls.
        target: which windows are falls.
    """
    for (start_s, end_s), fallen in falls:
        if not start_s <= stop_s < end_s + target.ignored_s:
            continue
        ripe_s = start_s + target.begin_share * (end_s - start_s)
        saw_descent = track.time_s[0] <= end_s - SEEN_SHARE * (end_s - start_s)
        last_s = track.time_s[np.searchsorted(track.time_s, stop_s) - 1]
        just_happened = ripe_s <= stop_s < end_s + target.after_s and last_s >= ripe_s - OBSERVED_S
        return FALL if track.track_id in fallen and saw_descent and just_happened else IGNORED
    return NOT_FALL
