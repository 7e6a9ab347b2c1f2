"""Behaviour: objects with `step(tick)`. Imports hal.signal, numpy and its own libraries only."""
