"""Train a recognizer, as `falldet train` does."""

from falldet.cli import run_tool

if __name__ == "__main__":
    run_tool("train")
