"""The Model Context Protocol, through its SDK: server, transport, prompts, resources."""
