"""`make bench`: every figure the project promises, measured on this machine, as one JSON document."""
