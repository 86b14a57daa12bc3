"""Findings of simulated scans: generated from a seed, or replayed from real exports."""
