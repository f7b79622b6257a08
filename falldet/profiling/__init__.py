"""Times of the pipeline and its stages."""
