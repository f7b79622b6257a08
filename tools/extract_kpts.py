"""Turn labeled videos into keypoints, as `falldet extract` does."""

from falldet.cli import run_tool

if __name__ == "__main__":
    run_tool("extract")
