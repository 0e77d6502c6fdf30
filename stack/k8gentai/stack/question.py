"""Asks an agent one question and shows its answer as it comes."""

from typing import Any

import httpx
from rich.console import Console
from rich.markup import escape

from k8gentai.stack import sse

ANSWER_SECONDS = 180
"""The longest silence in an answer; a worker that has just started imports its framework first."""


async def ask(base_url: str, agent: str, question: str, console: Console) -> bool:
    """Ask over the Responses API and print text and tool calls as they come.

    Args:
        base_url: of the stack, e.g. ``http://127.0.0.1:8321``.
        agent: its id.
        question: the input.
        console: where to print.

    Returns:
        Whether the answer came to its end complete.

    Raises:
        httpx.HTTPError: the stack went away, or was silent for too long.
    """
    console.print(f"[bold]you[/]: {escape(question)}")
    body = {"model": agent, "input": question, "stream": True}
    status, in_text = "", False
    async with (
        httpx.AsyncClient(base_url=base_url, timeout=ANSWER_SECONDS) as client,
        client.stream("POST", "/v1/responses", json=body) as answer,
    ):
        if answer.is_error:
            console.print(f"[red]{answer.status_code}[/]: {escape((await answer.aread()).decode())}")
            return False
        async for event in sse.events(answer):
            kind = event["type"]
            if kind == "response.output_text.delta":
                console.print("" if in_text else f"[bold]{agent}[/]: ", end="")
                console.print(event["delta"], end="", markup=False, highlight=False, soft_wrap=True)
                in_text = True
                continue
            if in_text:
                console.print()
                in_text = False
            if kind == "response.output_item.done":
                _show_call(event["item"], agent, console)
            elif "response" in event:
                status = event["response"]["status"]
                if error := event["response"].get("error"):
                    console.print(f"[red]{escape(str(error['message']))}[/]", soft_wrap=True)
    return status == "completed"


def _show_call(item: dict[str, Any], agent: str, console: Console) -> None:
    """A tool call and what came of it, where the item is one."""
    if item["type"] != "mcp_call":
        return
    outcome = f"failed: {item['error']}" if item.get("error") else item.get("output")
    line = f"{item['name']}({item['arguments']}) -> {outcome}"
    console.print(f"[bold]{agent}[/] calls [cyan]{escape(line)}[/]", highlight=False, soft_wrap=True)
