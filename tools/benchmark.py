"""Measure how fast the pipeline is, as `falldet benchmark` does."""

from falldet.cli import run_tool

if __name__ == "__main__":
    run_tool("benchmark")
