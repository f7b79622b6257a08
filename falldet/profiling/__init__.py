"""How fast the pipeline is."""
