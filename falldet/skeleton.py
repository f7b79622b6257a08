"""The COCO-17 skeleton: joint names, edges, left/right pairs and the sigmas of object keypoint similarity.

Source: COCO keypoint task, person category, and its evaluation (https://cocodataset.org/#keypoints-eval).
"""

import numpy as np

JOINT_NAMES = (
    "nose",
    "left_eye",
    "right_eye",
    "left_ear",
    "right_ear",
    "left_shoulder",
    "right_shoulder",
    "left_elbow",
    "right_elbow",
    "left_wrist",
    "right_wrist",
    "left_hip",
    "right_hip",
    "left_knee",
    "right_knee",
    "left_ankle",
    "right_ankle",
)
JOINT_COUNT = len(JOINT_NAMES)
JOINT_INDEX = {name: index for index, name in enumerate(JOINT_NAMES)}

LEFT_JOINTS = tuple(i for i, name in enumerate(JOINT_NAMES) if name.startswith("left_"))
RIGHT_JOINTS = tuple(i for i, name in enumerate(JOINT_NAMES) if name.startswith("right_"))

FLIP_INDICES = tuple(
    JOINT_INDEX[name.replace("left_", "right_") if name.startswith("left_") else name.replace("right_", "left_")]
    for name in JOINT_NAMES
)
"""Index of the joint that each joint becomes when the image is mirrored."""

EDGES = (
    (0, 1),
    (0, 2),
    (1, 3),
    (2, 4),
    (5, 6),
    (5, 7),
    (7, 9),
    (6, 8),
    (8, 10),
    (5, 11),
    (6, 12),
    (11, 12),
    (11, 13),
    (13, 15),
    (12, 14),
    (14, 16),
)

SHOULDERS = (JOINT_INDEX["left_shoulder"], JOINT_INDEX["right_shoulder"])
HIPS = (JOINT_INDEX["left_hip"], JOINT_INDEX["right_hip"])

OKS_SIGMAS = np.array(
    [
        0.026,
        0.025,
        0.025,
        0.035,
        0.035,
        0.079,
        0.079,
        0.072,
        0.072,
        0.062,
        0.062,
        0.107,
        0.107,
        0.087,
        0.087,
        0.089,
        0.089,
    ],
    dtype=np.float32,
)
