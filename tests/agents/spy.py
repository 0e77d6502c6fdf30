"""An agent that tells what its code finds out about the model endpoint."""

import json
import os

from langchain.agents import create_agent
from langchain_openai import ChatOpenAI, OpenAIEmbeddings


def look() -> str:
    """Tell what is in the environment."""
    return json.dumps({name: os.environ.get(name) for name in ("OPENAI_BASE_URL", "OPENAI_API_KEY")})


def embed(text: str) -> str:
    """Embed a text."""
    return str(len(OpenAIEmbeddings(model="lexical", check_embedding_ctx_length=False).embed_query(text)))


agent = create_agent(ChatOpenAI(model="somebody-elses-model"), tools=[look, embed])
