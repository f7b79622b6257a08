"""Sources run through a detector into sinks."""
