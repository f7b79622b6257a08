"""Other fall detectors and trackers, each behind an interface that falldet's evaluation can measure."""
