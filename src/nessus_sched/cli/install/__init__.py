"""`nessus-sched install` and `uninstall`."""
