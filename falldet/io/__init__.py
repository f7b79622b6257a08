"""Video in and out, and the one writer of finished files."""
