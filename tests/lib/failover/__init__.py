"""Two daemons, a replicated database and simulated scanners in network namespaces, and faults.

`rig.py` puts them together, `faults.py` breaks them, `judge.py` says from outside what was kept of
what the clients were promised. Needs root, `ip`, and Debian's PostgreSQL for the database.
"""
