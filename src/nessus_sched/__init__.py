"""Scan scheduler for Tenable Nessus."""

__version__ = "0.2.0"
