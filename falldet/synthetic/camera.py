"""Pinhole camera: points in metres in, pixels and depths out."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

NEAR_M = 0.1
"""Points nearer to the camera than this are not visible, metres."""


@dataclass(frozen=True, slots=True)
class Camera:
    """A camera in the room; with all angles 0 its optical axis is world y, and the image's x is world x.

    Attributes:
        position: x, y, z in metres, world frame.
        yaw_deg: rotation of the optical axis to the left, degrees.
        pitch_deg: rotation of the optical axis downwards, degrees.
        roll_deg: clockwise rotation about the optical axis, degrees.
        focal_px: focal length in pixels.
        width: width of the image, pixels.
        height: height of the image, pixels.
    """

    position: tuple[float, float, float] = (0.0, -4.2, 1.6)
    yaw_deg: float = 0.0
    pitch_deg: float = 8.0
    roll_deg: float = 0.0
    focal_px: float = 520.0
    width: int = 640
    height: int = 480

    def axes(self) -> np.ndarray:
        """Return the image's right, its down and the optical axis as rows (3, 3), world frame."""
        yaw, pitch, roll = np.radians([self.yaw_deg, self.pitch_deg, self.roll_deg])
        right = np.array([np.cos(yaw), np.sin(yaw), 0.0])
        axis = np.array([-np.sin(yaw) * np.cos(pitch), np.cos(yaw) * np.cos(pitch), -np.sin(pitch)])
        down = np.cross(axis, right)
        rolled_right = np.cos(roll) * right + np.sin(roll) * down
        return np.stack([rolled_right, np.cross(axis, rolled_right), axis])

    def project(self, points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return pixels (..., 2) and depths (...) in metres of `points` (..., 3), metres, world frame.

        A point with a depth below `NEAR_M`, such as one behind the camera, has undefined pixels.
        """
        relative = (points - np.asarray(self.position)) @ self.axes().T  # (..., 3), right, down, forward
        depth = relative[..., 2]
        scale = self.focal_px / np.maximum(depth, NEAR_M)
        center = np.array([self.width / 2, self.height / 2])
        return center + relative[..., :2] * scale[..., None], depth

    def rays(self, subsamples: int = 1) -> np.ndarray:
        """Return the rays of the pixels (H * subsamples, W * subsamples, 3), each with depth 1, world frame."""
        columns = ((np.arange(self.width * subsamples) + 0.5) / subsamples - self.width / 2) / self.focal_px
        rows = ((np.arange(self.height * subsamples) + 0.5) / subsamples - self.height / 2) / self.focal_px
        grid = np.stack(np.broadcast_arrays(columns[None], rows[:, None], 1.0), axis=2)
        return grid.astype(np.float32) @ self.axes().astype(np.float32)
