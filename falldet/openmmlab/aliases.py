"""Former names of falldet's components, so that the configs of finished runs still load.

Delete when no work dir of the time before falldet 0.1.0 has to be evaluated, exported or resumed.
"""

from __future__ import annotations

from mmaction.registry import HOOKS, TRANSFORMS

from falldet.openmmlab.hooks import TrainingHistoryHook
from falldet.openmmlab.transforms import NormalizeSkeleton, SampleMidpoints

HOOKS.register_module(name="PicturesHook", module=TrainingHistoryHook)
TRANSFORMS.register_module(name="NormaliseSkeleton", module=NormalizeSkeleton)
TRANSFORMS.register_module(name="SampleUniformMidpoints", module=SampleMidpoints)
