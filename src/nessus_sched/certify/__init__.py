"""Proving a real scanner: a few small scans that show whether it does what we rely on."""
