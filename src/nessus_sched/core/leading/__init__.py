"""Several daemons with one store: one leads, the others wait."""
