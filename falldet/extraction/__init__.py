"""Videos turned into the keypoint pickle that training reads."""
