"""Targets and the configured scope: addresses, ranges, what may be scanned. Pure."""
