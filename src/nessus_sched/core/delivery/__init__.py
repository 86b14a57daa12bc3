"""What people should know: happenings, messages, and the outbox that keeps them."""
