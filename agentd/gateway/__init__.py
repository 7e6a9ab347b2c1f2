"""HTTP: health, API, metrics, events, dashboard."""
