"""A plain 1-D CNN trained as configs/stgcn_fall_best.py is: same windows, coordinates, augmentation, loss and schedule.

export PYTHONPATH=.
python tools/train.py research/peers/cnn1d_fall.py --seed 0
python tools/export.py research/peers/cnn1d_fall.py work_dirs/cnn1d_fall/epoch_7.pth --out cnn1d.onnx
"""

_base_ = "../../configs/stgcn_fall_best.py"

custom_imports = dict(imports=["falldet.openmmlab", "research.peers.cnn1d"])

model = dict(
    backbone=dict(_delete_=True, type="JointCNN", in_channels=4, channels=[64, 96, 128, 128], kernel_size=5),
    cls_head=dict(in_channels=128),
)
