"""Appearance of a person: the capsules around the points of a body, and a face.

A pose model trained on photographs detects such a mannequin standing, falling and lying, so that scenes can test the
whole pipeline without footage of real people.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from falldet.synthetic.body import POINT_INDEX
from falldet.synthetic.room import Color

_EYE_WHITE, _EYE, _MOUTH = (214, 220, 224), (38, 32, 30), (96, 94, 160)


@dataclass(frozen=True, slots=True)
class Appearance:
    """Clothes and build of a person; colors are blue, green, red.

    Attributes:
        skin: face, arms and hands.
        hair: hair and brows.
        shirt: shirt with half sleeves.
        trousers: long trousers.
        shoes: shoes.
        build: relative girth of the body, 1 for an ordinary build.
    """

    skin: Color = (138, 170, 216)
    hair: Color = (28, 38, 54)
    shirt: Color = (168, 84, 42)
    trousers: Color = (66, 52, 46)
    shoes: Color = (44, 44, 48)
    build: float = 1.0


@dataclass(frozen=True, slots=True)
class Part:
    """A tapered capsule.

    Attributes:
        start: (3,) center of the first end, metres, world frame.
        stop: (3,) center of the second end.
        radii: radius at each end, metres.
        color: blue, green, red.
        lateral: direction (3,) in which the cross-section has these radii; without effect where `flatness` is 1.
        flatness: radius across `lateral`, as a share of `radii`.
        roundness: length of the ends beyond their centers, 1 for half a sphere.
        is_head: True for the part with the face.
    """

    start: np.ndarray
    stop: np.ndarray
    radii: tuple[float, float]
    color: Color
    lateral: np.ndarray | tuple[float, float, float] = (1.0, 0.0, 0.0)
    flatness: float = 1.0
    roundness: float = 1.0
    is_head: bool = False


def clothe(points: np.ndarray, height_m: float, appearance: Appearance) -> list[Part]:
    """Return the parts of a person.

    Args:
        points: (P, 3) metres, world frame, in the order of `POINT_NAMES`.
        height_m: body height, metres.
        appearance: clothes and build.
    """
    at = {name: points[index] for name, index in POINT_INDEX.items()}
    parts = _torso(at, height_m, appearance) + _head(at, height_m, appearance)
    for side in ("left", "right"):
        parts += _limbs({n.removeprefix(f"{side}_"): p for n, p in at.items()}, height_m, appearance)
    return parts


def head_axes(points: np.ndarray) -> np.ndarray:
    """Return the directions forward, left and up (3, 3) of the head of `points` (P, 3), world frame."""
    left = _unit(points[POINT_INDEX["left_ear"]] - points[POINT_INDEX["right_ear"]])
    forward = _unit(points[POINT_INDEX["nose"]] - points[POINT_INDEX["head"]])
    forward = _unit(forward - left * (forward @ left))
    return np.stack([forward, left, np.cross(forward, left)])


def face_colors(directions: np.ndarray, appearance: Appearance) -> np.ndarray:
    """Return the colors (h, w, 3) of a head, float32.

    Args:
        directions: (h, w, 3) from the center of the head to the points, in head radii: forward, left, up.
        appearance: colors of the person.
    """
    forward, left, up = np.moveaxis(directions, -1, 0)
    sideways, in_front = np.abs(left), forward > 0.2
    skin = ((forward > 0.05) & (up < 0.62)) | (up < -0.70)
    colors = np.where(skin[..., None], appearance.skin, appearance.hair).astype(np.float32)
    colors[in_front & (np.abs(sideways - 0.37) < 0.17) & (np.abs(up - 0.38) < 0.04)] = appearance.hair
    colors[in_front & (((sideways - 0.37) / 0.15) ** 2 + ((up - 0.16) / 0.075) ** 2 < 1)] = _EYE_WHITE
    colors[in_front & (((sideways - 0.36) / 0.08) ** 2 + ((up - 0.16) / 0.08) ** 2 < 1)] = _EYE
    colors[in_front & (sideways < 0.26) & (np.abs(up + 0.58) < 0.06)] = _MOUTH
    return colors


def _torso(at: dict[str, np.ndarray], height_m: float, appearance: Appearance) -> list[Part]:
    stout = height_m * appearance.build
    across_chest = _unit(at["left_shoulder"] - at["right_shoulder"])
    across_hips = _unit(at["left_hip"] - at["right_hip"])
    spine = _unit(at["neck"] - at["waist"])
    inward = across_hips * 0.012 * height_m
    chest, hips = at["neck"] - spine * 0.046 * height_m, at["pelvis"]
    parts = [
        Part(chest, at["waist"], (0.104 * stout, 0.082 * stout), appearance.shirt, across_chest, 0.68, 0.45),
        Part(at["waist"], hips, (0.083 * stout, 0.102 * stout), appearance.shirt, across_hips, 0.70, 0.35),
        Part(at["left_hip"] - inward, at["right_hip"] + inward, (0.053 * stout, 0.053 * stout), appearance.trousers),
    ]
    for side in ("left", "right"):
        radii = (0.030 * height_m, 0.037 * stout)
        parts.append(Part(at["neck"] - spine * 0.012 * height_m, at[f"{side}_shoulder"], radii, appearance.shirt))
    return parts


def _head(at: dict[str, np.ndarray], height_m: float, appearance: Appearance) -> list[Part]:
    forward, left, up = head_axes(np.stack([at[name] for name in POINT_INDEX])) * height_m
    crown, chin = at["head"] + 0.012 * up, at["head"] - 0.036 * up + 0.012 * forward
    nose = at["nose"] - 0.012 * forward
    parts = [
        Part(at["neck"] - 0.01 * up, at["head"] - 0.02 * up, (0.034 * height_m, 0.031 * height_m), appearance.skin),
        Part(crown, chin, (0.057 * height_m, 0.042 * height_m), appearance.hair, left / height_m, 1.06, is_head=True),
        Part(nose + 0.014 * up - 0.004 * forward, nose, (0.007 * height_m, 0.010 * height_m), appearance.skin),
    ]
    for side in ("left", "right"):
        parts.append(Part(at[f"{side}_ear"], at[f"{side}_ear"], (0.013 * height_m, 0.013 * height_m), appearance.skin))
    return parts


def _limbs(at: dict[str, np.ndarray], height_m: float, appearance: Appearance) -> list[Part]:
    stout = height_m * appearance.build
    sleeve = at["shoulder"] + (at["elbow"] - at["shoulder"]) * 0.62
    instep = at["heel"] * 0.4 + at["ankle"] * 0.35 + at["toe"] * 0.25
    return [
        Part(at["shoulder"], at["elbow"], (0.030 * stout, 0.026 * stout), appearance.skin),
        Part(at["shoulder"], sleeve, (0.038 * stout, 0.035 * stout), appearance.shirt),
        Part(at["elbow"], at["wrist"], (0.026 * stout, 0.018 * stout), appearance.skin),
        Part(at["wrist"], at["hand"], (0.019 * height_m, 0.017 * height_m), appearance.skin),
        Part(at["hip"] * 0.86 + at["pelvis"] * 0.14, at["knee"], (0.053 * stout, 0.042 * stout), appearance.trousers),
        Part(at["knee"], at["ankle"], (0.042 * stout, 0.029 * stout), appearance.trousers),
        Part(at["heel"], at["toe"], (0.022 * height_m, 0.017 * height_m), appearance.shoes),
        Part(instep, at["heel"] * 0.3 + at["toe"] * 0.7, (0.026 * height_m, 0.018 * height_m), appearance.shoes),
    ]


def _unit(vector: np.ndarray) -> np.ndarray:
    """Return `vector` (3,) with length 1."""
    return vector / np.linalg.norm(vector)
