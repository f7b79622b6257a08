"""Fall events measured on labelled videos."""
