"""Exceptions for findings: accepted risks, false positives and changed severities."""
