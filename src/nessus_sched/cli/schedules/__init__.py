"""`nessus-sched schedules`: scans submitted by the calendar."""
