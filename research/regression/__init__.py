"""Checks that a change leaves the results as they were."""
