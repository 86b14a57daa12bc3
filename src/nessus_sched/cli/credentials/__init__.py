"""`nessus-sched credentials`."""
