"""Model files: names, downloads, and the OpenVINO runtime that runs them."""
