"""The Unix socket: listener, framing, discovery, and the relay that MCP clients start."""
