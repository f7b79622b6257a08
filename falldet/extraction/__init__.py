"""Videos turned into the annotation file that training reads."""
