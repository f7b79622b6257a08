"""The fall recognizer: ST-GCN on 48 frames of COCO-17 keypoints of one person, fall or not.

Train: python tools/train.py configs/stgcn_fall.py
"""

_base_ = "_base_/default_runtime.py"

# --- model: ST-GCN (https://arxiv.org/abs/1801.07455) with learned edge importance, MMAction2's default for it --------
model = dict(
    type="RecognizerGCN",
    backbone=dict(type="STGCN", graph_cfg=dict(layout="coco", mode="stgcn_spatial")),
    cls_head=dict(type="GCNHead", num_classes=2, in_channels=256, topk=1),
)

# --- data: data/falls.pkl, made by tools/extract_kpts.py --------------------------------------------------------------
dataset_type = "FallDataset"
ann_file = "data/falls.pkl"
window = None  # None: a clip is a sample. dict(length_s=2.0, stride_s=0.5): its labeled windows of seconds are.
normalize = "image"
left_joints = [1, 3, 5, 7, 9, 11, 13, 15]
right_joints = [2, 4, 6, 8, 10, 12, 14, 16]

train_pipeline = [
    dict(type="UniformSampleFrames", clip_len=48),
    dict(type="PoseDecode"),
    dict(type="Flip", flip_ratio=0.5, left_kp=left_joints, right_kp=right_joints),
    dict(type="RandomResizedCrop", area_range=(0.56, 1.0)),
    dict(type="NormalizeSkeleton", mode=normalize),
    dict(type="GenSkeFeat", dataset="coco", feats=["j"]),
    dict(type="FormatGCNInput", num_person=1),
    dict(type="PackActionInputs", meta_keys=("frame_dir", "img_shape")),
]
val_pipeline = [
    dict(type="SampleMidpoints", clip_len=48),
    dict(type="PoseDecode"),
    dict(type="NormalizeSkeleton", mode=normalize),
    dict(type="GenSkeFeat", dataset="coco", feats=["j"]),
    dict(type="FormatGCNInput", num_person=1),
    dict(type="PackActionInputs", meta_keys=("frame_dir", "img_shape")),
]

# num_workers=0: a sample takes about a millisecond, so worker processes would only take the network's cores.
train_dataloader = dict(
    batch_size=16,
    num_workers=0,
    sampler=dict(type="DefaultSampler", shuffle=True),
    dataset=dict(type=dataset_type, ann_file=ann_file, split="train", window=window, pipeline=train_pipeline),
)
val_dataloader = dict(
    batch_size=16,
    num_workers=0,
    sampler=dict(type="DefaultSampler", shuffle=False),
    dataset=dict(
        type=dataset_type, ann_file=ann_file, split="val", window=window, pipeline=val_pipeline, test_mode=True
    ),
)
test_dataloader = dict(
    batch_size=16,
    num_workers=0,
    sampler=dict(type="DefaultSampler", shuffle=False),
    dataset=dict(
        type=dataset_type, ann_file=ann_file, split="test", window=window, pipeline=val_pipeline, test_mode=True
    ),
)
val_evaluator = dict(type="FallMetric")
test_evaluator = dict(type="FallMetric")

# --- schedule ---------------------------------------------------------------------------------------------------------
train_cfg = dict(type="EpochBasedTrainLoop", max_epochs=80, val_begin=1, val_interval=1)
val_cfg = dict(type="ValLoop")
test_cfg = dict(type="TestLoop")
optim_wrapper = dict(optimizer=dict(type="SGD", lr=0.1, momentum=0.9, nesterov=True, weight_decay=1e-4))
param_scheduler = [dict(type="MultiStepLR", by_epoch=True, milestones=[10, 50], gamma=0.1)]
