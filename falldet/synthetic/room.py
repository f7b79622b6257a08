"""The plain room people move in: floor, walls, skirting, what hangs on the wall and what stands on the floor."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from falldet.synthetic.camera import Camera

Color = tuple[int, int, int]
"""Blue, green, red, each in [0, 255]."""

_FINER = 2  # rays per pixel and direction, against jagged edges


@dataclass(frozen=True, slots=True)
class Box:
    """A piece of furniture: a block from corner `low` to corner `high`, (x, y, z) metres, world frame."""

    low: tuple[float, float, float]
    high: tuple[float, float, float]
    color: Color


@dataclass(frozen=True, slots=True)
class Panel:
    """A flat thing on the back wall, from `low` to `high`, (x, z) metres: a door, a window, a picture."""

    low: tuple[float, float]
    high: tuple[float, float]
    color: Color


@dataclass(frozen=True, slots=True)
class Room:
    """A room of three walls with an even light.

    Attributes:
        back_m: world y of the back wall, metres.
        side_m: world x of the right wall; the left one stands at -side_m, metres.
        wall: color of the walls.
        floor: color of the floor boards.
        panels: what hangs on the back wall; a later one lies over an earlier one.
        boxes: the furniture.
    """

    back_m: float = 2.2
    side_m: float = 4.6
    wall: Color = (196, 207, 211)
    floor: Color = (116, 148, 176)
    panels: tuple[Panel, ...] = ()
    boxes: tuple[Box, ...] = ()

    def paint(self, camera: Camera) -> tuple[np.ndarray, np.ndarray]:
        """Return the empty room's image (H, W, 3) uint8 and the depth of its furniture (H, W) in metres.

        Floor and walls have infinite depth: nobody can be behind them.
        """
        rays = camera.rays(_FINER)
        eye = np.asarray(camera.position, dtype=np.float32)
        hits = _hits(eye, rays, (self.back_m, self.side_m, -self.side_m))  # (4, h, w): floor, back, right, left
        surface = hits.argmin(axis=0)
        nearest = np.minimum(hits.min(axis=0), 40.0)
        spots = eye + rays * nearest[..., None]
        colors = np.where((surface == 0)[..., None], self._floor(spots), self._wall(spots, surface))
        depth = np.full(nearest.shape, np.inf, dtype=np.float32)
        for box in self.boxes:
            _paint_box(box, eye, rays, nearest, depth, colors)
        size = (camera.width, camera.height)
        image = cv2.resize(colors, size, interpolation=cv2.INTER_AREA)
        return np.clip(image, 0, 255).astype(np.uint8), np.ascontiguousarray(depth[::_FINER, ::_FINER])

    def _floor(self, spots: np.ndarray) -> np.ndarray:
        """Return the colors (h, w, 3) of the boards, which run along x, with the corners of the room darker."""
        row = np.floor(spots[..., 1] / 0.16)
        tone = 1 + 0.035 * np.sin(row * 12.9898 + np.floor((spots[..., 0] + row * 0.71) / 1.3) * 78.233)
        gap = np.minimum(spots[..., 1] / 0.16 - row, 1 - spots[..., 1] / 0.16 + row) < 0.03
        corner = np.exp(-np.abs(self.back_m - spots[..., 1]) / 0.35) * 0.16
        return np.asarray(self.floor, dtype=np.float32) * (tone * (1 - 0.14 * gap) * (1 - corner))[..., None]

    def _wall(self, spots: np.ndarray, surface: np.ndarray) -> np.ndarray:
        """Return the colors (h, w, 3) of the walls with their skirting and what hangs on the back one."""
        light = np.where(surface == 1, 1.0, 0.86) * (0.93 + 0.03 * np.clip(spots[..., 2], 0, 2.5))
        colors = np.asarray(self.wall, dtype=np.float32) * light[..., None].astype(np.float32)
        colors[spots[..., 2] < 0.09] = (225, 228, 230)
        for panel in self.panels:
            for margin, color in ((0.05, (232, 235, 237)), (0.0, panel.color)):
                low, high = np.subtract(panel.low, margin), np.add(panel.high, margin)
                across, up = spots[..., 0], spots[..., 2]
                inside = (across > low[0]) & (across < high[0]) & (up > low[1]) & (up < high[1])
                colors[(surface == 1) & inside] = color
        return colors


def _hits(eye: np.ndarray, rays: np.ndarray, walls: tuple[float, float, float]) -> np.ndarray:
    """Return the depths (4, h, w) at which `rays` meet floor, back, right and left wall, infinite where they don't."""
    hits = np.full((4, *rays.shape[:2]), np.inf, dtype=np.float32)
    for hit, axis, level in zip(hits, (2, 1, 0, 0), (0.0, *walls), strict=True):
        speed = rays[..., axis]
        towards = (level - eye[axis]) / np.where(speed == 0, 1e-9, speed)
        hit[towards > 0] = towards[towards > 0]
    return hits


def _paint_box(
    box: Box, eye: np.ndarray, rays: np.ndarray, nearest: np.ndarray, depth: np.ndarray, colors: np.ndarray
) -> None:
    """Draw `box` where it is the nearest thing, into `nearest`, `depth` (h, w) and `colors` (h, w, 3)."""
    safe = np.where(rays == 0, 1e-9, rays)
    first, second = (np.asarray(box.low) - eye) / safe, (np.asarray(box.high) - eye) / safe
    enter, leave = np.minimum(first, second), np.maximum(first, second)
    face, near = enter.argmax(axis=2), enter.max(axis=2)
    seen = (near < leave.min(axis=2)) & (near > 0) & (near < nearest)
    light = np.array([0.80, 0.92, 1.12])[face[seen]]  # side, front, top
    colors[seen] = light[:, None] * np.asarray(box.color)
    nearest[seen] = depth[seen] = near[seen]
