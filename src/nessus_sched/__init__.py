"""Scan scheduler for Tenable Nessus."""

__version__ = "0.1.0"
