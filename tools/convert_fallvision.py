"""Turn FallVision's keypoints into annotations, as `falldet convert` does."""

from falldet.cli import run_tool

if __name__ == "__main__":
    run_tool("convert")
