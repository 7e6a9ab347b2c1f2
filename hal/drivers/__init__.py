"""One chip or protocol a file; `driver: sim.line_follower` is `hal/drivers/sim/line_follower.py`."""
