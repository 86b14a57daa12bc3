"""The task store in PostgreSQL: the connection, the schema, and who may write."""
