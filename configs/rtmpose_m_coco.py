"""A faster pose estimator for the baseline pipeline: MMPose's own RTMPose-m on crops of 256x192.

Weights: rtmpose-m_simcc-aic-coco_pt-aic-coco_420e-256x192-63eb25f7_20230126.pth (sha256 begins with 63eb25f7), from
https://download.openmmlab.com/mmpose/v1/projects/rtmposev1/; put it into checkpoints/, or let it be fetched on first
use. Own weights: `load_from = "my_pose.pth"`.

Use: python tools/demo.py video.mp4 --pose yolox_s+rtmpose_m
"""

_base_ = "mmpose::body_2d_keypoint/rtmpose/coco/rtmpose-m_8xb256-420e_aic-coco-256x192.py"

model = dict(
    backbone=dict(init_cfg=None),  # the weights come from the checkpoint, not from ImageNet
    test_cfg=dict(flip_test=False),  # True averages with the mirrored crop: a little better for twice the time
)
