"""The recognizer the demo ships with: a small ST-GCN with motion, trained on labeled windows of seconds.

It differs from configs/stgcn_fall.py in its training data (windows of two seconds, as the pipeline makes them, not
whole clips; FallVision's clips in addition to the videos), in its coordinates (centered on the person, in body lengths)
and in its size.

Train: python tools/train.py configs/stgcn_fall_best.py
"""

_base_ = "_base_/default_runtime.py"

# --- model ------------------------------------------------------------------------------------------------------------
model = dict(
    type="RecognizerGCN",
    backbone=dict(
        type="MotionSTGCN",
        graph_cfg=dict(layout="coco", mode="stgcn_spatial"),
        base_channels=24,
        num_stages=6,
        inflate_stages=[3, 5],
        down_stages=[2, 4],
    ),
    cls_head=dict(
        type="GCNHead",
        num_classes=2,
        in_channels=96,
        dropout=0.3,
        topk=1,
        loss_cls=dict(type="CrossEntropyLoss", class_weight=[1.0, 3.0]),
    ),
)

# --- data: labeled videos and FallVision's keypoints, cut into windows -----------------------------------------------
dataset_type = "FallDataset"
videos = "data/falls.pkl"  # tools/extract_kpts.py videos/ --people 6
fallvision = "data/fallvision.pkl"  # tools/convert_fallvision.py
window = dict(length_s=2.0, stride_s=0.25, min_track_s=0.4, linger_s=0.5, clear_overlap=0.15)
sparse_window = {**window, "stride_s": 1.0}  # FallVision has thirty times as many clips
normalize = "person"
left_joints = [1, 3, 5, 7, 9, 11, 13, 15]
right_joints = [2, 4, 6, 8, 10, 12, 14, 16]

train_pipeline = [
    dict(type="SampleMidpoints", clip_len=48),
    dict(type="PoseDecode"),
    dict(type="Flip", flip_ratio=0.5, left_kp=left_joints, right_kp=right_joints),
    dict(type="AugmentSkeleton"),
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

train_dataloader = dict(
    batch_size=32,
    num_workers=0,
    sampler=dict(type="DefaultSampler", shuffle=True),
    dataset=dict(
        type="ConcatDataset",
        datasets=[
            dict(
                type="RepeatDataset",
                times=2,
                dataset=dict(type=dataset_type, ann_file=videos, split="train", window=window, pipeline=train_pipeline),
            ),
            dict(type=dataset_type, ann_file=fallvision, split="train", window=sparse_window, pipeline=train_pipeline),
        ],
    ),
)
val_dataloader = dict(
    batch_size=64,
    num_workers=0,
    sampler=dict(type="DefaultSampler", shuffle=False),
    dataset=dict(type=dataset_type, ann_file=videos, split="val", window=window, pipeline=val_pipeline, test_mode=True),
)
test_dataloader = dict(
    batch_size=64,
    num_workers=0,
    sampler=dict(type="DefaultSampler", shuffle=False),
    dataset=dict(
        type=dataset_type, ann_file=videos, split="test", window=window, pipeline=val_pipeline, test_mode=True
    ),
)
val_evaluator = dict(type="FallMetric")
test_evaluator = dict(type="FallMetric")

# --- schedule ---------------------------------------------------------------------------------------------------------
train_cfg = dict(type="EpochBasedTrainLoop", max_epochs=6, val_begin=1, val_interval=1)
val_cfg = dict(type="ValLoop")
test_cfg = dict(type="TestLoop")
optim_wrapper = dict(optimizer=dict(type="SGD", lr=0.1, momentum=0.9, nesterov=True, weight_decay=5e-4))
param_scheduler = [dict(type="CosineAnnealingLR", by_epoch=True, T_max=6)]
