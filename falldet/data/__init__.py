"""Labeled data: manifests, splits, keypoint pickles and window labels."""
