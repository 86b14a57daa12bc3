"""The task store: tasks and their journal in SQLite, with group commit."""
