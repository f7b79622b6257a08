"""The packages; everything else stands in pyproject.toml. checkpoints/ and configs/ travel inside the package."""

from setuptools import find_packages, setup

setup(
    packages=[*find_packages(include=["falldet*"]), "falldet.checkpoints", "falldet.configs"],
    package_dir={"falldet.checkpoints": "checkpoints", "falldet.configs": "configs"},
    package_data={
        "falldet": ["py.typed"],
        "falldet.checkpoints": ["README.md", "stgcn_fall.onnx", "stgcn_fall.pth"],
        "falldet.configs": ["*.toml", "*.py", "_base_/*.py"],
    },
    include_package_data=False,
)
