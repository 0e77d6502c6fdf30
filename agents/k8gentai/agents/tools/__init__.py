"""The tools that definitions bring: Python functions and MCP servers, in no framework's terms."""
