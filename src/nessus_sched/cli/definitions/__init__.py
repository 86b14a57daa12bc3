"""Things that are defined in YAML files."""
