"""What llama-stack-client 0.3 can do with agents; run in that client's own environment.

Argument: as JSON, the stack's ``url`` and a prompt for each scenario. Prints what each saw, as JSON.
"""

import json
import sys
from typing import Any

import llama_stack_client
from llama_stack_client import Agent, AgentEventLogger, APIStatusError, LlamaStackClient

MODEL = "openai/scripted-model"
WEATHER = {
    "name": "get_weather",
    "description": "The weather of a town.",
    "input_schema": {"type": "object", "properties": {"town": {"type": "string"}}, "required": ["town"]},
}


def said(prompt: str) -> list[dict[str, str]]:
    return [{"role": "user", "content": prompt}]


def begin(client: LlamaStackClient, **config: Any) -> dict[str, str]:
    """A session of a new agent."""
    agents = client.alpha.agents
    made = agents.create(agent_config={"model": MODEL, "instructions": "Be brief.", **config})
    session = agents.session.create(made.agent_id, session_name="talk")
    return {"agent_id": made.agent_id, "session_id": session.session_id}


def a_turn_that_is_resumed(client: LlamaStackClient, prompt: str) -> Any:
    place = begin(client, client_tools=[WEATHER])
    turn = client.alpha.agents.turn
    chunks = list(turn.create(**place, messages=said(prompt), stream=True))
    asked = chunks[-1].event.payload.turn
    (call,) = asked.output_message.tool_calls
    response = {"call_id": call.call_id, "tool_name": call.tool_name, "content": "rain in Ghent"}
    resumed = list(turn.resume(asked.turn_id, **place, tool_responses=[response], stream=True))
    step = resumed[-1].event.payload.turn.steps[0]
    return {
        "arguments": call.arguments,
        "first": [chunk.event.payload.event_type for chunk in chunks],
        "second": [chunk.event.payload.event_type for chunk in resumed],
        "turn": resumed[-1].event.payload.turn.to_dict(),
        "again": turn.retrieve(asked.turn_id, **place).to_dict(),
        "step": client.alpha.agents.steps.retrieve(step.step_id, turn_id=asked.turn_id, **place).step.to_dict(),
        "steps": [each.to_dict() for each in resumed[-1].event.payload.turn.steps],
    }


def a_turn_with_documents(client: LlamaStackClient, prompt: str) -> Any:
    place = begin(client, agent_id="assistant")
    document = {"content": "Ghent lies on the Leie.", "mime_type": "text/plain"}
    turn = client.alpha.agents.turn.create(**place, messages=said(prompt), documents=[document])
    return turn.output_message.content


def an_agent_that_searches(client: LlamaStackClient, prompt: str) -> Any:
    file = client.files.create(file=("leie.txt", b"Ghent lies on the Leie."), purpose="assistants")
    store = client.vector_stores.create(name="rivers")
    client.vector_stores.files.create(store.id, file_id=file.id)
    search = {"name": "builtin::rag/knowledge_search", "args": {"vector_db_ids": [store.id]}}
    turn = client.alpha.agents.turn.create(**begin(client, toolgroups=[search]), messages=said(prompt))
    client.vector_stores.delete(store.id)
    client.files.delete(file.id)
    return {"content": turn.output_message.content, "steps": [step.to_dict() for step in turn.steps]}


def sessions(client: LlamaStackClient, prompt: str) -> Any:
    agents = client.alpha.agents
    place = begin(client)
    agent_id = place["agent_id"]
    ids = [agents.turn.create(**place, messages=said(prompt)).turn_id for _ in range(2)]
    some = agents.session.retrieve(place["session_id"], agent_id=agent_id, turn_ids=ids[1:])
    seen = {
        "all": [turn.turn_id for turn in agents.session.retrieve(place["session_id"], agent_id=agent_id).turns],
        "some": [turn.turn_id for turn in some.turns],
        "ids": ids,
        "listed": [agent["agent_id"] for agent in agents.list().data],
    }
    agents.session.delete(place["session_id"], agent_id=agent_id)
    agents.delete(agent_id)
    try:
        agents.retrieve(agent_id)
    except APIStatusError as error:
        seen["gone"] = error.status_code
    return seen


def the_agent_helper(client: LlamaStackClient, prompt: str) -> Any:
    """In this version it speaks to the Responses API."""
    agent = Agent(client, model="calculator", instructions="Be brief.")
    turn = agent.create_turn(said(prompt), session_id=agent.create_session("numbers"), stream=True)
    return "".join(str(event) for event in AgentEventLogger().log(turn))


SCENARIOS = (
    a_turn_that_is_resumed,
    a_turn_with_documents,
    an_agent_that_searches,
    sessions,
    the_agent_helper,
)

if __name__ == "__main__":
    asked = json.loads(sys.argv[1])
    seen: dict[str, Any] = {"version": llama_stack_client.__version__}
    with LlamaStackClient(base_url=asked["url"], max_retries=0) as stack:
        for scenario in SCENARIOS:
            seen[scenario.__name__] = scenario(stack, asked[scenario.__name__])
    json.dump(seen, sys.stdout, default=str)
