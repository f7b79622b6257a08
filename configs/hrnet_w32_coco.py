"""The baseline pipeline's pose estimator: MMPose's own HRNet-w32 on crops of 256x192.

Weights: td-hm_hrnet-w32_8xb64-210e_coco-256x192-81c58e40_20220909.pth (sha256 begins with 81c58e40), from
https://download.openmmlab.com/mmpose/v1/body_2d_keypoint/topdown_heatmap/coco/; put it into checkpoints/, or let it be
fetched on first use. HRNet-w48 is another `_base_`: td-hm_hrnet-w48_8xb32-210e_coco-256x192.py, whose official weights
falldet knows too. Own weights: `load_from = "my_pose.pth"`.

Use: python tools/demo.py video.mp4 --pose yolox_s+hrnet_w32
"""

_base_ = "mmpose::body_2d_keypoint/topdown_heatmap/coco/td-hm_hrnet-w32_8xb64-210e_coco-256x192.py"

model = dict(
    backbone=dict(init_cfg=None),  # the weights come from the checkpoint, not from ImageNet
    test_cfg=dict(flip_test=False),  # True averages with the mirrored crop: about one point of AP for twice the time
)
