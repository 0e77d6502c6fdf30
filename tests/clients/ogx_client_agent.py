"""A turn of ogx-client's Agent, with a tool of the client's, as its logger prints it.

Arguments: the stack's URL, the agent, what to say.
"""

import sys

from ogx_client import Agent, AgentEventLogger, OgxClient


def get_weather(town: str) -> str:
    """The weather of a town.

    :param town: its name
    """
    return f"rain in {town}"


url, name, text = sys.argv[1:]
client = OgxClient(base_url=url)
agent = Agent(client, model=name, instructions="Be brief.", tools=[get_weather])
session = agent.create_session("test")
for part in AgentEventLogger().log(agent.create_turn([{"role": "user", "content": text}], session, stream=True)):
    print(part, end="")  # noqa: T201
