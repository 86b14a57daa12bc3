"""`nessus-sched store`: a store in another database."""
