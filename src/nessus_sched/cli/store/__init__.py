"""`nessus-sched store`: tasks and journal in another database."""
