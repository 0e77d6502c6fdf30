"""What the documentation of llama-stack-client 0.2 does with agents; run in that client's own environment.

Argument: as JSON, the stack's ``url`` and a prompt for each scenario. Prints what each saw, as JSON.
"""

import asyncio
import json
import sys
from typing import Any

import llama_stack_client
from llama_stack_client import Agent, AgentEventLogger, APIStatusError, AsyncLlamaStackClient, LlamaStackClient
from llama_stack_client.lib.agents.agent import AsyncAgent

MODEL = "openai/scripted-model"


def get_weather(town: str, days: int = 1) -> str:
    """The weather of a town.

    :param town: its name
    :param days: how many days
    """
    return f"rain in {town}"


def said(prompt: str) -> list[dict[str, str]]:
    return [{"role": "user", "content": prompt}]


def printed(agent: Agent, session: str, prompt: str) -> str:
    """What the documentation's loop prints."""
    turn = agent.create_turn(messages=said(prompt), session_id=session, stream=True)
    return "".join(f"{event}{event.end}" for event in AgentEventLogger().log(turn))


def an_agent_with_a_tool_of_its_clients(client: LlamaStackClient, prompt: str) -> Any:
    agent = Agent(client, model=MODEL, instructions="Be brief.", tools=[get_weather])
    session = agent.create_session("weather")
    text = printed(agent, session, prompt)
    (turn,) = client.agents.session.retrieve(session, agent_id=agent.agent_id).turns
    return {"printed": text, "turn": turn.to_dict()}


def an_agent_without_a_stream(client: LlamaStackClient, prompt: str) -> Any:
    agent = Agent(client, model=MODEL, instructions="Be brief.", tools=[get_weather])
    turn = agent.create_turn(said(prompt), session_id=agent.create_session("weather"), stream=False)
    return {"content": turn.output_message.content, "steps": [step.step_type for step in turn.steps]}


def a_registered_agent(client: LlamaStackClient, prompt: str) -> Any:
    agent = Agent(client, model="calculator", instructions="")
    session = agent.create_session("numbers")
    return {"first": printed(agent, session, prompt), "second": printed(agent, session, prompt)}


def an_asynchronous_agent(client: LlamaStackClient, prompt: str) -> Any:
    async def run() -> str:
        async with AsyncLlamaStackClient(base_url=client.base_url) as connected:
            agent = AsyncAgent(connected, model=MODEL, instructions="Be brief.", tools=[get_weather])
            session = await agent.create_session("weather")
            turn = await agent.create_turn(said(prompt), session_id=session, stream=False)
            return str(turn.output_message.content)

    return asyncio.run(run())


def plain_calls(client: LlamaStackClient, prompt: str) -> Any:
    made = client.agents.create(agent_config={"model": MODEL, "instructions": "Be brief.", "name": "plain"})
    agent_id = made.agent_id
    session_id = client.agents.session.create(agent_id, session_name="talk").session_id
    turn = client.agents.turn.create(session_id, agent_id=agent_id, messages=said(prompt))
    again = client.agents.turn.retrieve(turn.turn_id, agent_id=agent_id, session_id=session_id)
    step = client.agents.steps.retrieve(
        turn.steps[0].step_id, agent_id=agent_id, session_id=session_id, turn_id=turn.turn_id
    ).step
    seen = {
        "agent": client.agents.retrieve(agent_id).to_dict(),
        "listed": [agent["agent_id"] for agent in client.agents.list(limit=1000).data],
        "agent_id": agent_id,
        "sessions": [session["session_name"] for session in client.agents.session.list(agent_id).data],
        "turn": turn.to_dict(),
        "again": again.to_dict(),
        "step": step.to_dict(),
    }
    client.agents.session.delete(session_id, agent_id=agent_id)
    seen["deleted_session"] = status_of(lambda: client.agents.session.retrieve(session_id, agent_id=agent_id))
    client.agents.delete(agent_id)
    seen["deleted_agent"] = status_of(lambda: client.agents.retrieve(agent_id))
    return seen


def a_turn_that_fails(client: LlamaStackClient, prompt: str) -> Any:
    agent = Agent(client, model=MODEL, instructions="Be brief.")
    session = agent.create_session("trouble")
    seen = {"printed": printed(agent, session, prompt)}
    try:
        agent.create_turn(said(prompt), session_id=session, stream=False)
    except RuntimeError as error:
        seen["raised"] = str(error)
    return seen


def errors(client: LlamaStackClient, _: str) -> Any:
    def create(**config: Any) -> Any:
        return status_of(lambda: client.agents.create(agent_config={"model": MODEL, "instructions": "", **config}))

    return {
        "unknown agent": status_of(lambda: client.agents.session.create("nobody", session_name="x")),
        "bad field": create(max_infer_iters="many"),
        "not supported": create(tool_prompt_format="python_list"),
    }


def status_of(call: Any) -> list[Any]:
    try:
        call()
    except APIStatusError as error:
        return [error.status_code, str(error)]
    return [200, ""]


SCENARIOS = (
    an_agent_with_a_tool_of_its_clients,
    an_agent_without_a_stream,
    a_registered_agent,
    an_asynchronous_agent,
    plain_calls,
    a_turn_that_fails,
    errors,
)

if __name__ == "__main__":
    asked = json.loads(sys.argv[1])
    seen: dict[str, Any] = {"version": llama_stack_client.__version__}
    with LlamaStackClient(base_url=asked["url"], max_retries=0) as stack:
        for scenario in SCENARIOS:
            seen[scenario.__name__] = scenario(stack, asked.get(scenario.__name__, ""))
    json.dump(seen, sys.stdout, default=str)
