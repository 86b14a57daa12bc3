"""Filters, projections, order and pages of findings. Pure."""
