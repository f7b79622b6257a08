"""configs/stgcn_fall_best.py for twice as long, with a walk added to half of the windows: half of the shipped mean.

Fewer false alarms of people who walk towards the camera or out of the image; see checkpoints/README.md.

Train: python tools/train.py configs/stgcn_fall_best_walk.py
"""

_base_ = "stgcn_fall_best.py"

train_pipeline = _base_.train_pipeline
train_pipeline[2].share = 0.5  # WalkSkeleton
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))

# --- schedule: 14 x 50 batches ----------------------------------------------------------------------------------------
train_cfg = dict(max_epochs=14)
param_scheduler = [
    dict(type="LinearLR", start_factor=0.04, begin=0, end=2.8, by_epoch=True, convert_to_iter_based=True),
    dict(type="CosineAnnealingLR", eta_min=0, begin=2.8, end=14, by_epoch=True, convert_to_iter_based=True),
]
