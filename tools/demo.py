"""Find falls in videos, as `falldet demo` does."""

from falldet.cli import run_tool

if __name__ == "__main__":
    run_tool("demo")
