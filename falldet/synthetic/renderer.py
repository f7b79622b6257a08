"""Rendering of people into a room: shaded, anti-aliased, tapered capsules with a depth buffer."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from falldet.synthetic.appearance import Appearance, Part, clothe, face_colors, head_axes
from falldet.synthetic.camera import NEAR_M, Camera

_LAMP = np.array([-0.42, -0.55, 0.72])  # the direction of the light, world frame
_AMBIENT, _LAMP_SHARE = 0.62, 0.46
_COARSE = 4  # factor by which shadows, which are soft, are rendered smaller
_BLUR = 0.003  # of the shadow, coarse pixels per pixel of focal length
_SHADOW_FADES_M = 0.4
_CIRCLE = np.stack([np.cos(np.arange(10) * np.pi / 5), np.sin(np.arange(10) * np.pi / 5), np.zeros(10)], axis=1)


@dataclass(frozen=True, slots=True)
class _Outline:
    """A part in the image; each pair has the values of its first and its second end.

    Attributes:
        ends: x and y, pixels.
        depths: metres.
        widths: half the width across the axis, pixels.
        bulges: half the thickness along the line of sight, metres.
        squeeze: factor by which the ends are shorter than a half circle.
    """

    ends: tuple[tuple[float, float], tuple[float, float]]
    depths: tuple[float, float]
    widths: tuple[float, float]
    bulges: tuple[float, float]
    squeeze: float


class Painter:
    """Draws people into the images of one camera.

    Args:
        camera: the camera.
        background: (H, W, 3) uint8 BGR, the empty room.
        depth: (H, W), metres, of the furniture that may hide people.
    """

    def __init__(self, camera: Camera, background: np.ndarray, depth: np.ndarray) -> None:
        self._camera, self._background, self._depth = camera, background, depth
        self._axes = camera.axes()
        self._lamp = (self._axes @ _LAMP).tolist()

    def paint(self, people: np.ndarray, heights_m: list[float], appearances: list[Appearance]) -> np.ndarray:
        """Return the image (H, W, 3) uint8 BGR of the room with people in it, drawn back to front.

        Args:
            people: (N, P, 3) metres, world frame, the points of `POINT_NAMES`.
            heights_m: N body heights, metres.
            appearances: of the N people.
        """
        image, depth = self._background.copy(), self._depth.copy()
        clothed = [clothe(*person) for person in zip(people, heights_m, appearances, strict=True)]
        self._cast_shadows(image, [part for parts in clothed for part in parts])
        distances = self._camera.project(people)[1].mean(axis=1)  # (N,)
        for person in np.argsort(-distances, kind="stable"):
            outlines = self._outlines(clothed[person])
            order = np.argsort([-sum(outline.depths) for outline in outlines], kind="stable")
            head = (head_axes(people[person]) @ self._axes.T).astype(np.float32)  # forward, left, up in camera axes
            for index in order:
                self._paint_part(image, depth, clothed[person][index], outlines[index], head, appearances[person])
        return image

    def _outlines(self, parts: list[Part]) -> list[_Outline]:
        """Return the outlines of `parts`; an elliptic cross-section has the width of its side towards the camera."""
        ends, depths = self._camera.project(np.array([(part.start, part.stop) for part in parts]))  # (M, 2, 2), (M, 2)
        radii = np.array([part.radii for part in parts])  # (M, 2)
        flatness = np.array([[part.flatness] for part in parts])
        lateral = np.array([part.lateral for part in parts]) @ self._axes.T  # (M, 3)
        along = ends[:, 1] - ends[:, 0]
        length = np.hypot(*along.T)[:, None]
        across = np.stack([-along[:, 1], along[:, 0]], axis=1) / np.maximum(length, 1e-6)
        share = np.where(length > 1e-6, (across * lateral[:, :2]).sum(axis=1, keepdims=True) ** 2, 1)
        widths = radii * np.sqrt(share + (1 - share) * flatness**2) * self._camera.focal_px / np.maximum(depths, NEAR_M)
        towards = lateral[:, 2:] ** 2
        bulges = radii * np.sqrt(towards + (1 - towards) * flatness**2)
        bones = np.maximum([np.linalg.norm(part.stop - part.start) for part in parts], 1e-6)
        foreshortened = 1 - np.minimum(1, length[:, 0] * depths.mean(axis=1) / self._camera.focal_px / bones)
        roundness = np.array([part.roundness for part in parts])
        squeeze = 1 / (roundness + (1 - roundness) * foreshortened)
        columns = (ends, depths, np.maximum(widths, 0.6), bulges, squeeze)
        return [_Outline(*row) for row in zip(*(column.tolist() for column in columns), strict=True)]

    def _paint_part(
        self, image: np.ndarray, depth: np.ndarray, part: Part, outline: _Outline, head: np.ndarray, wearer: Appearance
    ) -> None:
        """Draw `part` into `image` (H, W, 3) and `depth` (H, W), where it is the nearest surface."""
        rows, columns = _bounds(outline, image.shape[0], image.shape[1])
        if rows.start >= rows.stop or columns.start >= columns.stop or min(outline.depths) < NEAR_M:
            return
        along, off_x, off_y, cover = _capsule(outline, rows, columns)
        towards = np.sqrt(
            np.maximum(1 - off_x * off_x - off_y * off_y, 0)
        )  # component of the normal towards the camera
        distance = _between(outline.depths, along) - _between(outline.bulges, along) * towards
        behind = depth[rows, columns]
        cover *= distance < behind
        light = off_x * self._lamp[0] + off_y * self._lamp[1] - towards * self._lamp[2]
        light = _AMBIENT + _LAMP_SHARE * np.maximum(light, -0.6)
        color = np.array(part.color, dtype=np.float32)
        if part.is_head:
            directions = np.stack([off_x, off_y, -towards], axis=-1) @ head.T
            directions[..., 2] += 0.21 - along * 0.80  # the head is longer than wide
            color = face_colors(directions, wearer)
        pixels = image[rows, columns]
        painted = np.minimum(color * light[..., None], 254)
        pixels[:] = pixels + cover[..., None] * (painted - pixels) + np.float32(0.5)
        np.copyto(behind, distance, where=cover > 0.5)

    def _cast_shadows(self, image: np.ndarray, parts: list[Part]) -> None:
        """Darken the floor of `image` (H, W, 3) under `parts`; the nearer a part, the darker its shadow."""
        ends = np.array([(part.start, part.stop) for part in parts]).reshape(-1, 2, 3)
        radii = np.array([part.radii for part in parts]).reshape(-1, 2)
        rims = ends[:, :, None] * (1, 1, 0) + 0.8 * radii[:, :, None, None] * _CIRCLE  # (M, 2, 10, 3)
        pixels, depths = self._camera.project(rims.reshape(len(parts), 2 * len(_CIRCLE), 3))
        strength = 118 * np.exp(-ends[..., 2].mean(axis=1) / _SHADOW_FADES_M)
        height, width = image.shape[:2]
        shadow = np.zeros((-(-height // _COARSE), -(-width // _COARSE)), dtype=np.uint8)
        for index in np.argsort(strength, kind="stable"):
            if depths[index].min() > NEAR_M and strength[index] > 2:
                hull = cv2.convexHull((pixels[index] * (16 / _COARSE)).astype(np.int32))
                cv2.fillConvexPoly(shadow, hull, float(strength[index]), cv2.LINE_AA, shift=4)
        if not shadow.any():
            return
        light = cv2.resize(255 - cv2.GaussianBlur(shadow, (0, 0), _BLUR * self._camera.focal_px), (width, height))
        light[np.isfinite(self._depth)] = 255  # no shadow on the furniture
        cv2.multiply(image, cv2.merge([light, light, light]), dst=image, scale=1 / 255)


def _bounds(outline: _Outline, height: int, width: int) -> tuple[slice, slice]:
    """Return the rows and columns of an image (height, width) that `outline` may cover."""
    ranges = []
    for axis, size in ((1, height), (0, width)):
        low = min(end[axis] - reach for end, reach in zip(outline.ends, outline.widths, strict=True)) - 1
        high = max(end[axis] + reach for end, reach in zip(outline.ends, outline.widths, strict=True)) + 2
        ranges.append(slice(int(min(max(low, 0), size)), int(min(max(high, 0), size))))
    return ranges[0], ranges[1]


def _between(values: tuple[float, float], along: np.ndarray) -> np.ndarray:
    """Interpolate linearly between the values at the two ends, at the positions `along` (h, w) in [0, 1]."""
    return values[0] + (values[1] - values[0]) * along


def _capsule(outline: _Outline, rows: slice, columns: slice) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Return the positions of an image region's pixels in a tapered capsule.

    Returns:
        Four arrays (h, w) float32: the position along the axis in [0, 1]; the offset from the axis to the right and
        down, in half widths; the coverage of the pixel in [0, 1].
    """
    (start_x, start_y), (stop_x, stop_y) = outline.ends
    axis_x, axis_y = stop_x - start_x, stop_y - start_y
    squared = max(axis_x**2 + axis_y**2, 1e-6)
    x = np.arange(columns.start, columns.stop, dtype=np.float32)[None] + (0.5 - start_x)
    y = np.arange(rows.start, rows.stop, dtype=np.float32)[:, None] + (0.5 - start_y)
    share = x * (axis_x / squared) + y * (axis_y / squared)
    along = np.clip(share, 0, 1)
    width = _between(outline.widths, along)
    foot = along - (share - along) * (outline.squeeze - 1)  # beyond the ends, distances count `squeeze` times
    off_x, off_y = x - foot * axis_x, y - foot * axis_y
    cover = np.clip(width - np.sqrt(off_x * off_x + off_y * off_y) + 0.5, 0, 1)
    return along, off_x / width, off_y / width, cover
