"""What people are told of: happenings, messages, and the outbox that keeps them."""
