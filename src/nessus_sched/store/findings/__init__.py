"""The findings store: imported reports in SQLite."""
