"""Certifies a real scanner: a few small scans show whether it behaves as we rely on."""
