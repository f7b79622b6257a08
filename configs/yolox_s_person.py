"""The baseline pipeline's person detector: MMDetection's own YOLOX-s, asked for people.

Weights: yolox_s_8x8_300e_coco_20211121_095711-4592a793.pth (sha256 begins with 4592a793), from
https://download.openmmlab.com/mmdetection/v2.0/yolox/yolox_s_8x8_300e_coco/; put it into checkpoints/, or let it be
fetched on first use. Another size is another `_base_`: yolox_tiny_8xb8-300e_coco.py or yolox_l_8xb8-300e_coco.py,
whose official weights falldet knows too; of YOLOX-m OpenMMLab has published none. Own weights:
`load_from = "my_detector.pth"`.

Use: python tools/demo.py video.mp4 --pose yolox_s+hrnet_w32
"""

_base_ = "mmdet::yolox/yolox_s_8xb8-300e_coco.py"

person_class = 0  # of COCO's 80
model = dict(test_cfg=dict(score_thr=0.5))
