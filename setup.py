"""Packaging of falldet; the pinned requirements are read from the requirements files, the version from the package."""

import re
from pathlib import Path

from setuptools import find_packages, setup

HERE = Path(__file__).resolve().parent


def version() -> str:
    text = (HERE / "falldet" / "__init__.py").read_text(encoding="utf-8")
    found = re.search(r'^__version__ = "([^"]+)"$', text, re.MULTILINE)
    if found is None:
        raise RuntimeError('falldet/__init__.py has no line __version__ = "..."')
    return found.group(1)


def requirements(name: str) -> list[str]:
    lines = (HERE / "requirements" / f"{name}.txt").read_text(encoding="utf-8").splitlines()
    return [line.strip() for line in lines if line.strip() and not line.startswith(("#", "-"))]


README = HERE / "README.md"

setup(
    name="falldet",
    version=version(),
    description="From raw video to a trained, measured and deployed fall detector",
    long_description=README.read_text(encoding="utf-8") if README.is_file() else "",
    long_description_content_type="text/markdown",
    license="Apache-2.0",
    packages=find_packages(include=["falldet", "falldet.*"]),
    include_package_data=True,
    # 3.11 is what scipy and matplotlib of these pins ask for; numpy 1.26 has no wheel for 3.13.
    python_requires=">=3.11,<3.13",
    install_requires=[line for line in requirements("core") if not line.startswith("setuptools")],
    extras_require={
        # The first half only: pip has no way to say --no-deps in an extra. `make install` adds the second half.
        "openmmlab": requirements("openmmlab"),
        "int8": requirements("int8"),
        "dev": requirements("dev"),
    },
)
