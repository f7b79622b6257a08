"""Zones of the picture, polygons in shares of its width and height, so that they fit any resolution."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

Zone = tuple[tuple[float, float], ...]
"""The corners of a polygon in order, each x and y in [0, 1]; the last joins the first."""


def checked_zones(zones: Sequence[Sequence[Sequence[float]]]) -> tuple[Zone, ...]:
    """Return the zones as tuples.

    Raises:
        ValueError: a zone is no list of at least three points [x, y] between 0 and 1.
    """
    checked = []
    for number, zone in enumerate(zones, start=1):
        try:
            corners = tuple((float(x), float(y)) for x, y in zone)
        except (TypeError, ValueError):
            corners = ()
        if len(corners) < 3 or not all(0 <= share <= 1 for corner in corners for share in corner):
            raise ValueError(
                f"zone {number} is {zone!r}; a zone needs three or more points [x, y], in shares of the picture's "
                "width and height from 0 to 1, such as [[0.1, 0.6], [0.5, 0.6], [0.5, 1.0]]"
            )
        checked.append(corners)
    return tuple(checked)


def in_zones(place: np.ndarray, zones: Sequence[Zone]) -> bool:
    """Return whether a place (2,), in shares of the picture, lies in one of the zones.

    Source: even-odd rule, a ray to the right crosses the border of a zone it starts in an odd number of times.
    """
    x, y = float(place[0]), float(place[1])
    for zone in zones:
        inside = False
        for (x0, y0), (x1, y1) in zip(zone, (*zone[1:], zone[0]), strict=True):
            if (y0 > y) != (y1 > y) and x < x0 + (y - y0) * (x1 - x0) / (y1 - y0):
                inside = not inside
        if inside:
            return True
    return False
