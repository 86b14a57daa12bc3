"""The configuration: schema, loading, substitution, diff for reload."""
