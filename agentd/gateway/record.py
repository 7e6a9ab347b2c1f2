"""`/api/v1/record`: what was recorded, bounded, for plots."""
