"""An agent that tells what its code finds out about the model endpoint."""

import json
import os

from langchain.agents import create_agent
from langchain_openai import ChatOpenAI


def look() -> str:
    """Tell what is in the environment."""
    return json.dumps({name: os.environ.get(name) for name in ("OPENAI_BASE_URL", "OPENAI_API_KEY")})


agent = create_agent(ChatOpenAI(model="somebody-elses-model"), tools=[look])
