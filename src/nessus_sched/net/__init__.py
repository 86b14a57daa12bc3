"""What outgoing connections share: TLS, limits on answers, and words for failures."""
