"""An MCP server that is a program: ``python mcp_program.py [FILE]``. It ends at once if that file is there."""

import os
import sys
from pathlib import Path

from mcp.server.fastmcp import Context, FastMCP

server = FastMCP("program", log_level="ERROR")


@server.tool()
def pid() -> str:
    """The process that answers."""
    return str(os.getpid())


@server.tool()
def variable(name: str) -> str:
    """An environment variable of the program."""
    return os.environ.get(name, "not set")


@server.tool()
def key(context: Context) -> str:
    """The idempotency key of this call."""
    meta = context.request_context.meta
    return str((meta.model_extra or {}).get("k8gentai/idempotency-key") if meta else None)


@server.tool()
def note(path: str, line: str) -> str:
    """Write a line to a file."""
    with Path(path).open("a") as page:
        page.write(f"{line}\n")
    return f"noted {line}"


@server.tool()
def end() -> str:
    """End the program in the middle of a call."""
    os._exit(3)


if __name__ == "__main__" and not any(Path(name).exists() for name in sys.argv[1:]):
    server.run()
