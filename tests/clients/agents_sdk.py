"""A run of the OpenAI Agents SDK on an agent of the stack, with a tool of the SDK's own; streamed where asked.

Arguments: the stack's URL, the agent, what to say, and ``stream`` or ``whole``.
"""

import asyncio
import sys

from openai import AsyncOpenAI

from agents import Agent, OpenAIResponsesModel, Runner, function_tool, set_tracing_disabled


@function_tool
def get_weather(town: str) -> str:
    """The weather of a town."""
    return f"rain in {town}"


async def main(url: str, name: str, text: str, manner: str) -> None:
    set_tracing_disabled(disabled=True)
    async with AsyncOpenAI(base_url=f"{url}/v1", api_key="none") as client:
        agent = Agent("Reporter", model=OpenAIResponsesModel(name, client), tools=[get_weather])
        if manner == "whole":
            result = await Runner.run(agent, text)
        else:
            result = Runner.run_streamed(agent, text)
            async for event in result.stream_events():
                if event.type == "raw_response_event" and event.data.type == "response.output_text.delta":
                    print(event.data.delta, end="|")  # noqa: T201
        print(result.final_output)  # noqa: T201


asyncio.run(main(*sys.argv[1:]))
