"""A service that watches cameras: live sources, incidents, their store, supervision."""
