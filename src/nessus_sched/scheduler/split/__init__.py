"""Tasks that run as several scans: their parts."""
