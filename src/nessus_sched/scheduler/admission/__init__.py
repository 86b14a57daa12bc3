"""Admission: whether a request may become a task."""
