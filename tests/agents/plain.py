"""An agent that asks its model once."""

from langchain.agents import create_agent
from langchain_openai import ChatOpenAI

# The definition names the model; what stands here is what somebody's code had before.
agent = create_agent(ChatOpenAI(model="somebody-elses-model"), tools=[])
