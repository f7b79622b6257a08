"""Write a trained network as ONNX, as `falldet export` does."""

from falldet.cli import run_tool

if __name__ == "__main__":
    run_tool("export")
