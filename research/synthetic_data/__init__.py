"""Rendered people: as training data and as images for the documentation."""
