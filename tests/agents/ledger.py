"""An agent whose tool takes its time, and keeps a book of what it really did."""

import time
from pathlib import Path

from langchain.agents import create_agent
from langchain_openai import ChatOpenAI

from k8gentai.agents import idempotency_key

WORK_SECONDS = 0.2


def enter(book: str, line: int) -> str:
    """Enter a line in a book."""
    with Path(book).open("a") as page:
        page.write(f"{line} {idempotency_key()}\n")
    time.sleep(WORK_SECONDS)
    return f"entered {line}"


agent = create_agent(ChatOpenAI(model="somebody-elses-model"), tools=[enter])
