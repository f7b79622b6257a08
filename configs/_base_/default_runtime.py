"""What every run has in common: the registries, the hooks, the seed and the surroundings."""

default_scope = "mmaction"
custom_imports = dict(imports=["falldet.openmmlab"])

default_hooks = dict(
    runtime_info=dict(type="RuntimeInfoHook"),
    timer=dict(type="IterTimerHook"),
    logger=dict(type="LoggerHook", interval=20, ignore_last=False),
    param_scheduler=dict(type="ParamSchedulerHook"),
    # The best epoch is the one with the lowest validation loss: it is defined in every epoch, hardly ever ties (F1 at
    # one threshold does, on a small validation set), and it rewards probabilities that mean what they say, which the
    # fusion and the event decoder rely on.
    checkpoint=dict(type="CheckpointHook", interval=1, max_keep_ckpts=2, save_best="fall/loss", rule="less"),
    sampler_seed=dict(type="DistSamplerSeedHook"),
)
custom_hooks = [dict(type="TrainingHistoryHook"), dict(type="RandomStateHook")]

randomness = dict(seed=0, deterministic=True)
env_cfg = dict(
    cudnn_benchmark=False,
    mp_cfg=dict(mp_start_method="fork", opencv_num_threads=0),
    dist_cfg=dict(backend="nccl"),  # tools/train.py takes gloo where there is no GPU
)
visualizer = dict(type="Visualizer", vis_backends=[dict(type="LocalVisBackend")])
log_processor = dict(type="LogProcessor", window_size=20, by_epoch=True)
log_level = "INFO"
load_from = None
resume = False
