"""A graph whose tool's result LangChain writes as text."""

from langchain.agents import create_agent
from langchain_openai import ChatOpenAI

from tests.agents.functions import measure

agent = create_agent(ChatOpenAI(model="somebody-elses-model"), tools=[measure])
