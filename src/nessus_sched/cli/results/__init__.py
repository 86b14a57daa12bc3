"""`nessus-sched results`."""
