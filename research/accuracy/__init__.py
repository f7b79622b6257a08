"""Fall events on labeled videos."""
