"""Did logins work: rules for single plugins, verdicts on hosts and scans, and advice."""
