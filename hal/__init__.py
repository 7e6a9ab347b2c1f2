"""Hardware: devices, their signals, the clock. Knows nothing of agents or of the daemon."""
