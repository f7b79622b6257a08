"""Measure the pipeline on labeled videos, as `falldet evaluate` does."""

from falldet.cli import run_tool

if __name__ == "__main__":
    run_tool("evaluate")
