"""Devices that run models, one runtime a file."""
