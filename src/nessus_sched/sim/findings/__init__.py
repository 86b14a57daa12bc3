"""What simulated scans find: generated from a seed, or replayed from real exports."""
