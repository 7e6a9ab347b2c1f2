"""Public test kit: run a device or an agent under a virtual clock, and check that it conforms."""
