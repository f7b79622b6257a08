"""The live chain: pose source, tracker, windows, recognizer, fusion, events.

Read as plain literals, never run. Any number can be changed for one run: `--cfg-options events.alert_threshold=0.7`.
The classes named beside each group say what every number means.
"""

# falldet.pose.source.PoseSettings: "movenet", or a detector and a pose network, "yolox_s+hrnet_w32"
pose = dict(
    source="movenet",
)

# falldet.pose.movenet.MoveNetSettings
movenet = dict(
    checkpoint="movenet_multipose",
    input_size=256,
    min_person_score=0.1,
    min_joint_score=0.05,
    precision="fastest",
    threads=0,
)

# falldet.pose.topdown.TopDownSettings
topdown = dict(
    engine="openvino",
    precision="fastest",
    det_interval=2,
    same_person_overlap=0.5,
    duplicate_similarity=0.7,
    max_undetected_frames=300,
    min_person_score=0.1,
    min_joint_score=0.05,
    max_people=10,
    threads=0,
)

# falldet.stages.frame_sampling.SamplingSettings
pace = dict(
    poses_per_s=15.0,
    idle_fps=5.0,
    motion_threshold=0.2,
    motion_hold_s=0.3,
    empty_hold_s=10.0,
    full_rate_threshold=0.2,
    full_rate_hold_s=0.5,
)

# falldet.stages.tracking.TrackerSettings
tracker = dict(
    min_iou=0.2,
    pose_weight=0.75,
    box_scale=1.25,
    min_hits=2,
    new_track_threshold=0.15,
    max_lost_s=3.0,
    max_unconfirmed_s=0.6,
    lost_decay_s=1.0,
    duplicate_similarity=0.6,
    velocity_memory_s=0.1,
    coast_s=1.0,
    reassoc_radius=0.8,
    reassoc_speed=0.5,
    reassoc_max_ratio=1.5,
)

# falldet.stages.windows.WindowSettings
windows = dict(
    length_s=2.0,
    stride_s=0.25,
    min_track_s=0.4,
    linger_s=0.5,
)

# falldet.stages.recognizer.RecognizerSettings
recognizer = dict(
    engine="openvino",
    checkpoint="stgcn_fall",
    config="",
    threads=0,
)

# falldet.stages.fusion.FusionSettings
fusion = dict(
    rule="noisy_or",
    latency_s=0.5,
    max_wait_s=3.0,
    final_rule="higher_score",
)

# falldet.stages.events.EventSettings
events = dict(
    alert_threshold=0.97,
    low_threshold=0.3,
    immediate_threshold=0.99,
    lying_degree=0.6,
    lying_hold_s=0.15,
    upright_threshold=0.4,
    confirm_s=1.0,
    recover_s=1.0,
    cool_down_s=5.0,
    long_lie_s=60.0,
    ignore_zones=[],
)
