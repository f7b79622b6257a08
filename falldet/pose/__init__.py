"""Where keypoints come from: every pose source takes an image and returns the people in it."""
