"""Frames drawn on, and plots."""
