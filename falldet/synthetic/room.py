"""The room of a scene: floor, walls, skirting, panels on the wall and boxes on the floor."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from falldet.synthetic.camera import Camera

Color = tuple[int, int, int]
"""Blue, green, red, each in [0, 255]."""

_SUBSAMPLES = 2  # rays per pixel and direction, for smooth edges


@dataclass(frozen=True, slots=True)
class Box:
    """A piece of furniture: a block from corner `low` to corner `high`, (x, y, z) metres, world frame."""

    low: tuple[float, float, float]
    high: tuple[float, float, float]
    color: Color


@dataclass(frozen=True, slots=True)
class Panel:
    """A rectangle on the back wall, from `low` to `high`, (x, z) metres: a door, a window, a poster."""

    low: tuple[float, float]
    high: tuple[float, float]
    color: Color


@dataclass(frozen=True, slots=True)
class Room:
    """A room of three walls in even light.

    Attributes:
        back_m: world y of the back wall, metres.
        side_m: world x of the right wall, metres; the left one is at -side_m.
        wall: color of the walls.
        floor: color of the floor boards.
        panels: rectangles on the back wall; a later one covers an earlier one.
        boxes: furniture.
    """

    back_m: float = 2.2
    side_m: float = 4.6
    wall: Color = (196, 207, 211)
    floor: Color = (116, 148, 176)
    panels: tuple[Panel, ...] = ()
    boxes: tuple[Box, ...] = ()

    def paint(self, camera: Camera) -> tuple[np.ndarray, np.ndarray]:
        """Return the image of the empty room (H, W, 3) uint8 BGR and the depth of its furniture (H, W) in metres.

        Floor and walls have infinite depth, because no person can be behind them.
        """
        rays = camera.rays(_SUBSAMPLES)
        eye = np.asarray(camera.position, dtype=np.float32)
        hits = _intersect(eye, rays, (self.back_m, self.side_m, -self.side_m))  # (4, h, w): floor, back, right, left
        surface = hits.argmin(axis=0)
        nearest = np.minimum(hits.min(axis=0), 40.0)
        points = eye + rays * nearest[..., None]
        colors = np.where((surface == 0)[..., None], self._floor(points), self._wall(points, surface))
        depth = np.full(nearest.shape, np.inf, dtype=np.float32)
        for box in self.boxes:
            _paint_box(box, eye, rays, nearest, depth, colors)
        size = (camera.width, camera.height)
        image = cv2.resize(colors, size, interpolation=cv2.INTER_AREA)
        return np.clip(image, 0, 255).astype(np.uint8), np.ascontiguousarray(depth[::_SUBSAMPLES, ::_SUBSAMPLES])

    def _floor(self, points: np.ndarray) -> np.ndarray:
        """Return the colors (h, w, 3) of the floor boards along x, darker towards the back wall."""
        row = np.floor(points[..., 1] / 0.16)
        tone = 1 + 0.035 * np.sin(row * 12.9898 + np.floor((points[..., 0] + row * 0.71) / 1.3) * 78.233)
        gap = np.minimum(points[..., 1] / 0.16 - row, 1 - points[..., 1] / 0.16 + row) < 0.03
        corner = np.exp(-np.abs(self.back_m - points[..., 1]) / 0.35) * 0.16
        return np.asarray(self.floor, dtype=np.float32) * (tone * (1 - 0.14 * gap) * (1 - corner))[..., None]

    def _wall(self, points: np.ndarray, surface: np.ndarray) -> np.ndarray:
        """Return the colors (h, w, 3) of the walls with their skirting and the panels."""
        light = np.where(surface == 1, 1.0, 0.86) * (0.93 + 0.03 * np.clip(points[..., 2], 0, 2.5))
        colors = np.asarray(self.wall, dtype=np.float32) * light[..., None].astype(np.float32)
        colors[points[..., 2] < 0.09] = (225, 228, 230)
        for panel in self.panels:
            for margin, color in ((0.05, (232, 235, 237)), (0.0, panel.color)):
                low, high = np.subtract(panel.low, margin), np.add(panel.high, margin)
                across, up = points[..., 0], points[..., 2]
                inside = (across > low[0]) & (across < high[0]) & (up > low[1]) & (up < high[1])
                colors[(surface == 1) & inside] = color
        return colors


def _intersect(eye: np.ndarray, rays: np.ndarray, walls: tuple[float, float, float]) -> np.ndarray:
    """Return the depths (4, h, w) of `rays` at the floor and the back, right and left wall; infinite without a hit."""
    hits = np.full((4, *rays.shape[:2]), np.inf, dtype=np.float32)
    for hit, axis, level in zip(hits, (2, 1, 0, 0), (0.0, *walls), strict=True):
        slope = rays[..., axis]
        depth = (level - eye[axis]) / np.where(slope == 0, 1e-9, slope)
        hit[depth > 0] = depth[depth > 0]
    return hits


def _paint_box(
    box: Box, eye: np.ndarray, rays: np.ndarray, nearest: np.ndarray, depth: np.ndarray, colors: np.ndarray
) -> None:
    """Draw `box` where it is the nearest surface, into `nearest`, `depth` (h, w) and `colors` (h, w, 3)."""
    safe = np.where(rays == 0, 1e-9, rays)
    first, second = (np.asarray(box.low) - eye) / safe, (np.asarray(box.high) - eye) / safe
    enter, leave = np.minimum(first, second), np.maximum(first, second)
    face, near = enter.argmax(axis=2), enter.max(axis=2)
    visible = (near < leave.min(axis=2)) & (near > 0) & (near < nearest)
    light = np.array([0.80, 0.92, 1.12])[face[visible]]  # side, front, top
    colors[visible] = light[:, None] * np.asarray(box.color)
    nearest[visible] = depth[visible] = near[visible]
