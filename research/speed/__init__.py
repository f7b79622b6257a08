"""Time, memory and precision of falldet and its peers."""
