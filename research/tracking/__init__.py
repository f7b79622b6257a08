"""Identity over time: falldet's tracker and its peers on composed scenes with known identity."""
