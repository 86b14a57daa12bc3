"""The ledger: the history of every finding across all scans."""
