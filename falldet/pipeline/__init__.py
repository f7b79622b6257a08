"""The stages joined."""
