"""falldet: from raw video to a trained, measured and deployed fall detector.

The live side (everything outside `falldet.openmmlab`) loads neither torch nor any OpenMMLab package.
"""

__version__ = "0.1.0"
