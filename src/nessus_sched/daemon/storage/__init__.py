"""Where the daemon keeps things: in the state directory, or also in a database for others."""
