"""A pinhole camera: points of the room in metres in, pixels and depths out."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

NEAR_M = 0.1
"""Nothing nearer to the camera than this is seen, metres."""


@dataclass(frozen=True, slots=True)
class Camera:
    """A camera in the room; with all angles 0 it looks along world y, the picture's x is world x.

    Attributes:
        position: x, y, z in metres, world frame.
        yaw_deg: how far it looks to the left, degrees.
        pitch_deg: how far it looks down, degrees.
        roll_deg: how far it is turned clockwise about its line of sight, degrees.
        focal_px: focal length in pixels.
        width: width of the picture, pixels.
        height: height of the picture, pixels.
    """

    position: tuple[float, float, float] = (0.0, -4.2, 1.6)
    yaw_deg: float = 0.0
    pitch_deg: float = 8.0
    roll_deg: float = 0.0
    focal_px: float = 520.0
    width: int = 640
    height: int = 480

    def axes(self) -> np.ndarray:
        """Return the picture's right, its down and the line of sight as rows (3, 3), world frame."""
        yaw, pitch, roll = np.radians([self.yaw_deg, self.pitch_deg, self.roll_deg])
        right = np.array([np.cos(yaw), np.sin(yaw), 0.0])
        sight = np.array([-np.sin(yaw) * np.cos(pitch), np.cos(yaw) * np.cos(pitch), -np.sin(pitch)])
        down = np.cross(sight, right)
        turned_right = np.cos(roll) * right + np.sin(roll) * down
        return np.stack([turned_right, np.cross(sight, turned_right), sight])

    def project(self, points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return pixels (..., 2) and depths (...) in metres of `points` (..., 3), metres, world frame.

        What lies nearer than `NEAR_M` or behind the camera has a depth below `NEAR_M` and pixels without meaning.
        """
        seen = (points - np.asarray(self.position)) @ self.axes().T
        depth = seen[..., 2]
        scale = self.focal_px / np.maximum(depth, NEAR_M)
        center = np.array([self.width / 2, self.height / 2])
        return center + seen[..., :2] * scale[..., None], depth

    def rays(self, finer: int = 1) -> np.ndarray:
        """Return the directions (H * finer, W * finer, 3) of the lines of sight, each with depth 1, world frame."""
        columns = ((np.arange(self.width * finer) + 0.5) / finer - self.width / 2) / self.focal_px
        rows = ((np.arange(self.height * finer) + 0.5) / finer - self.height / 2) / self.focal_px
        grid = np.stack(np.broadcast_arrays(columns[None], rows[:, None], 1.0), axis=2)
        return grid.astype(np.float32) @ self.axes().astype(np.float32)
