"""Fall events measured on labeled videos."""
