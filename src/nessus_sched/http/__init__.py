"""The HTTP face: health, readiness, metrics."""
