"""SQLite and files: tasks with their journal, findings, exported reports."""
