"""Simulated plants. Each keeps its state in the runtime directory, and so outlives its worker."""
