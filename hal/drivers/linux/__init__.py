"""The host's own sensors."""
