"""The ledger of findings in SQLite."""
