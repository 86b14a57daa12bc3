"""A daemon that shares its store with others and does not lead: it answers what it can read there,
says who leads, and takes over when that one is gone."""
