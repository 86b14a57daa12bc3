"""SQLite: schema, writer, queries, findings, exports on disk."""
