"""An agent whose tool raises."""

from langchain.agents import create_agent
from langchain_openai import ChatOpenAI


def wrench(size: int) -> str:
    """Fetch a wrench."""
    raise LookupError(f"there is no wrench of size {size}")


agent = create_agent(ChatOpenAI(model="somebody-elses-model"), tools=[wrench])
