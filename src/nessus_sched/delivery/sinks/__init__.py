"""Where messages are sent."""
