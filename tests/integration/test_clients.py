"""The clients people have: openai, llama-stack-client's Agent and logger, langchain-openai."""

import asyncio
from typing import Any

import httpx
import openai
import pytest
from langchain_openai import ChatOpenAI
from llama_stack_client import Agent, AgentEventLogger, LlamaStackClient

from tests.integration.helpers import prompt
from tests.scripted import Answer, Call


def get_weather(town: str) -> str:
    """The weather of a town.

    :param town: its name
    """
    return f"rain in {town}"


def run_turn(url, agent, text, tools=(), turns=1):
    """Turns of llama-stack-client's Agent, as its documentation does it; what its logger prints."""
    with LlamaStackClient(base_url=url) as client:
        made = Agent(client, model=agent, instructions="Be brief.", tools=list(tools))
        session = made.create_session("test")
        logger = AgentEventLogger()
        printed = []
        for _ in range(turns):
            chunks = made.create_turn([{"role": "user", "content": text}], session_id=session, stream=True)
            printed.append("".join(logger.log(chunks)))
        return printed


async def test_llama_stack_agent_and_logger(stack, model, key):
    model.script(key, Answer(Call("multiply", {"a": 17, "b": 23})), Answer("It is ", "391."))
    (printed,) = await asyncio.to_thread(run_turn, stack.server.url, "calculator", prompt(key))
    assert "Executing mcp_call (server-side)" in printed
    assert printed.endswith("It is 391.\n")


async def test_llama_stack_agent_runs_its_own_tools(stack, model, key):
    """A worker's tool must not reach the client as its own; the client's own must."""
    model.script(
        key,
        Answer(Call("add", {"a": 1, "b": 2})),
        Answer(Call("get_weather", {"town": "Ghent"})),
        Answer("Three, and rain."),
    )
    (printed,) = await asyncio.to_thread(run_turn, stack.server.url, "workshop", prompt(key), [get_weather])
    assert "Three, and rain." in printed
    assert any("rain in Ghent" in text for text in model.requests(key)[2].texts("tool"))


async def test_llama_stack_agents_session_remembers(stack, model, key):
    model.script(key, Answer("One."), Answer("Two."))
    await asyncio.to_thread(run_turn, stack.server.url, "assistant", prompt(key), (), 2)
    assert model.requests(key)[1].texts("assistant") == ["One."]


async def test_the_synchronous_openai_client(stack, model, key):
    model.script(key, Answer("Good ", "day."))

    def ask():
        with (
            openai.OpenAI(base_url=f"{stack.server.url}/v1", api_key="none") as client,
            client.responses.stream(model="plain", input=prompt(key)) as stream,
        ):
            return stream.get_final_response().output_text

    assert await asyncio.to_thread(ask) == "Good day."


@pytest.fixture
async def chat(stack):
    # With a client of its own: the one langchain-openai shares would outlive this test's event loop.
    async with httpx.AsyncClient() as connections:
        yield ChatOpenAI(
            model="workshop",
            base_url=f"{stack.server.url}/v1",
            api_key="none",
            use_responses_api=True,
            http_async_client=connections,
        )


async def test_langchain(chat, model, key):
    model.script(key, Answer(Call("multiply", {"a": 17, "b": 23})), Answer("It is ", "391."))
    message = await chat.ainvoke(prompt(key))
    assert message.text.endswith("It is 391.")
    assert message.usage_metadata["total_tokens"] == 36


async def test_langchain_streams(chat, model, key):
    model.script(key, Answer(Call("multiply", {"a": 17, "b": 23})), Answer("It is ", "391."))
    whole: Any = None
    texts = []
    async for chunk in chat.astream(prompt(key)):
        whole = chunk if whole is None else whole + chunk
        if chunk.text:
            texts.append(chunk.text)
    assert texts == ["It is ", "391."]
    assert whole.usage_metadata["total_tokens"] == 36


async def test_langchain_binds_tools_of_its_own(chat, model, key):
    model.script(key, Answer(Call("get_weather", {"town": "Ghent"})))
    message = await chat.bind_tools([get_weather]).ainvoke(prompt(key))
    (call,) = message.tool_calls
    assert (call["name"], call["args"]) == ("get_weather", {"town": "Ghent"})
