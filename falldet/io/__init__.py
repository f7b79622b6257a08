"""Video frames in and out, and atomically written files."""
