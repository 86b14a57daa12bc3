"""The story of `nessus-sched demo`: two weeks of scanning on a clock that skips idle time."""
