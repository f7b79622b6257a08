"""The pipeline: all stages joined, over frames (`FallDetector`) or over people (`FallAnalyzer`)."""
