"""Messages to people and other systems: what to report, and how it gets there."""
