"""The daemon: policy and composition. May import hal and agents."""

__version__ = "0.1.0"
