"""Searches of the ledger: from conditions to a page of findings or groups."""
