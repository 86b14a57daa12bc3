"""Composition root: the nursery tree, lifecycle, signals and reload."""
