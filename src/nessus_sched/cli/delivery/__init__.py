"""Commands for messages: the outbox and its routes."""
