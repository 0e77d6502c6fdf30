"""An MCP server that is a program, with the tools of every shape."""

from mcp.server.fastmcp import FastMCP

from tests.conformance.shapes.agents.functions import fail, look, pay

server = FastMCP("shop", log_level="ERROR")
for tool in (look, pay, fail):
    server.add_tool(tool)

if __name__ == "__main__":
    server.run()
