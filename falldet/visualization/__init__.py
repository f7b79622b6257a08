"""Annotated frames, plots and tables."""
