"""An agent whose tools leave a mark each time they really run."""

import time
from pathlib import Path

from langchain.agents import create_agent
from langchain_openai import ChatOpenAI

from k8gentai.agents import idempotency_key


def write(path: str, line: str) -> str:
    """Add a line to a file."""
    with Path(path).open("a") as file:
        file.write(f"{line} {idempotency_key()}\n")
    return f"wrote {line}"


def linger(path: str, line: str) -> str:
    """Add a line to a file, and come back only when a file beside it is there."""
    write(path, line)
    while not Path(path).with_suffix(".go").exists():
        time.sleep(0.02)
    return f"wrote {line}"


def linger_once(path: str, line: str) -> str:
    """The same, but its definition says that it must not run twice."""
    return linger(path, line)


agent = create_agent(ChatOpenAI(model="somebody-elses-model"), tools=[write, linger, linger_once])
