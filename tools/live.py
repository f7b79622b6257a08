"""Watch cameras for falls until stopped, as `falldet live` does."""

from falldet.cli import run_tool

if __name__ == "__main__":
    run_tool("live")
