"""Measure a trained recognizer, as `falldet test` does."""

from falldet.cli import run_tool

if __name__ == "__main__":
    run_tool("test")
