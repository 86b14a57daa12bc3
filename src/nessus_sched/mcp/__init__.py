"""The MCP face: tools, schemas, transport and relay."""
