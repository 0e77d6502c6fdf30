"""Asks an agent one question and shows its answer as it comes, and what it asks of people in its turn."""

import json
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote

import httpx
import typer
from rich.console import Console
from rich.markup import escape

from k8gentai.stack.environments.installed import SetUpError
from k8gentai.stack.terminal import sse
from k8gentai.stack.terminal.printable import printable

ANSWER_SECONDS = 180
"""The longest silence in an answer; a worker that has just started imports its framework first."""

_ONE_REQUEST_EACH = httpx.Limits(max_keepalive_connections=0)
"""Connections are not kept: a person may think for as long as the stack keeps an idle one, and a question that is
sent just as the connection is closed has no answer."""

_REQUEST = "mcp_approval_request"

Decide = Callable[[str], tuple[bool, str | None]]
"""Asks the person at the terminal about a call, as it is shown: whether they approve, and their words if any."""


@dataclass
class _Shown:
    """The part of one response that was shown."""

    id: str = ""
    status: str = ""
    requests: list[dict[str, Any]] = field(default_factory=list)
    """The questions that it asks of people, as the response lists them: those that were streamed may have been
    withdrawn since."""


async def ask(base_url: str, agent: str, question: str, console: Console, decide: Decide | None = None) -> bool:
    """Ask over the Responses API and print text, tool calls and approval requests as they come.

    Args:
        base_url: of the stack, e.g. ``http://127.0.0.1:8321``.
        agent: the agent's id.
        question: the input.
        console: the console to print to.
        decide: answers what the agent asks of people; without it the turn is left waiting.

    Returns:
        Whether the answer came to its end complete, and nothing waits for a person.

    Raises:
        httpx.HTTPError: the stack is away, or was silent for too long.
        SetUpError: it went away in mid-answer; naming the turn, which goes on.
        typer.Abort: by `decide`, as of Ctrl-C; the turn is left waiting, and how to answer it is shown.
    """
    console.print(f"[bold]you[/]: {escape(question)}")
    body: dict[str, Any] = {"model": agent, "input": question, "stream": True}
    async with httpx.AsyncClient(base_url=base_url, timeout=ANSWER_SECONDS, limits=_ONE_REQUEST_EACH) as client:
        await _say_if_nobody_runs(client, agent, console)
        shown = await _show(client, body, console)
        while shown.requests and decide is not None:
            try:
                answers = [_answer(request, decide) for request in shown.requests]
            except typer.Abort:
                _show_waiting(shown, console)
                raise
            shown = await _show(client, {**body, "input": answers, "previous_response_id": shown.id}, console)
    if shown.requests:
        _show_waiting(shown, console)
    return shown.status == "completed" and not shown.requests


def described(name: str, arguments: str) -> str:
    """Write a call or question that waits for a person in one line.

    Args:
        name: of the tool.
        arguments: JSON text.
    """
    return printable(f"{name}({arguments})")


def how_to_answer(response_id: str) -> str:
    """Write the command that answers what a turn asks."""
    return f"k8gentai turns approve {response_id} [--deny] [--reason TEXT] [--call NAME_OR_ID]"


def serve_others(count: int) -> str:
    """Say of the workers of an agent's pool that none runs its turns.

    Args:
        count: how many they are.
    """
    return f"the {count} of its pool serve other agents (--agents), and hand its turns back"


async def _say_if_nobody_runs(client: httpx.AsyncClient, agent: str, console: Console) -> None:
    """Say so where no worker runs that serves the agent: its turn waits for one."""
    try:
        known = (await client.get(f"/v1/agents/{quote(agent, safe='')}")).json()
        if known["health"]["status"] != "no_worker":
            return
        framework = str(known["framework"])
        # A stack of an earlier release does not name it.
        pool = str(known.get("pool") or framework)
        others = int(known["health"].get("workers_of_others") or 0)
    except (httpx.HTTPError, ValueError, LookupError, TypeError):
        # A plain model. What else is wrong the question itself will tell.
        return
    if others:
        waits = f"No worker serves '{agent}': {serve_others(others)}."
        console.print(f"[yellow]{escape(waits)}[/]", highlight=False, soft_wrap=True)
        return
    named, option = (framework, "") if pool == framework else (f"the pool '{pool}'", f" --pool {pool}")
    start = f"k8gentai worker {framework}{option}"
    waits = f"No worker of {named} that serves '{agent}' runs; the turn waits for one ('{start}')."
    console.print(f"[yellow]{escape(waits)}[/]", highlight=False, soft_wrap=True)


async def _show(client: httpx.AsyncClient, body: dict[str, Any], console: Console) -> _Shown:
    shown, agent = _Shown(), body["model"]
    async with client.stream("POST", "/v1/responses", json=body) as answer:
        if answer.is_error:
            words = _refusal((await answer.aread()).decode(errors="replace"))
            console.print(f"[red]{answer.status_code}[/]: {escape(words)}", soft_wrap=True)
            return shown
        try:
            async for event in _without_text(sse.events(answer), agent, console):
                _take(event, agent, shown, console)
        except httpx.HTTPError as error:
            if not shown.id:
                raise
            raise SetUpError(
                "The stack went away in mid-answer. The turn goes on when it is back: "
                f"'k8gentai turns show {shown.id}' tells how it is."
            ) from error
    return shown


def _refusal(body: str) -> str:
    """Return the words of an error's body, or all of it where it is no error of the API."""
    try:
        return printable(str(json.loads(body)["error"]["message"]))
    except (ValueError, KeyError, TypeError):
        return printable(body)


def _take(event: dict[str, Any], agent: str, shown: _Shown, console: Console) -> None:
    """Print what an event of the stream says, but for text."""
    if event["type"] == "response.output_item.done":
        _show_item(event["item"], agent, console)
    elif "response" in event:
        response = event["response"]
        shown.id, shown.status = response["id"], response["status"]
        shown.requests = [item for item in response["output"] if item["type"] == _REQUEST]
        if error := response.get("error"):
            console.print(f"[red]{escape(printable(str(error['message'])))}[/]", soft_wrap=True)


async def _without_text(
    events: AsyncIterator[dict[str, Any]], agent: str, console: Console
) -> AsyncIterator[dict[str, Any]]:
    """Print the text of a stream, and pass its other events on."""
    in_text = False
    async for event in events:
        if event["type"] == "response.output_text.delta":
            console.print("" if in_text else f"[bold]{agent}[/]: ", end="")
            console.print(printable(event["delta"]), end="", markup=False, highlight=False, soft_wrap=True)
            in_text = True
            continue
        if in_text:
            console.print()
            in_text = False
        yield event


def _show_item(item: dict[str, Any], agent: str, console: Console) -> None:
    """Print a tool call and what came of it, or that a person is asked about it."""
    if item["type"] == _REQUEST:
        line, verb = described(item["name"], item["arguments"]), "asks to call"
    elif item["type"] == "mcp_call" and item["status"] != "incomplete":
        outcome = f"failed: {item['error']}" if item.get("error") else item.get("output")
        line, verb = printable(f"{described(item['name'], item['arguments'])} -> {outcome}"), "calls"
    else:
        # A call that was not made is asked about, or was left.
        return
    console.print(f"[bold]{agent}[/] {verb} [cyan]{escape(line)}[/]", highlight=False, soft_wrap=True)


def _answer(request: dict[str, Any], decide: Decide) -> dict[str, Any]:
    approve, reason = decide(described(request["name"], request["arguments"]))
    answer = {"type": "mcp_approval_response", "approval_request_id": request["id"], "approve": approve}
    return {**answer, "reason": reason} if reason else answer


def _show_waiting(shown: _Shown, console: Console) -> None:
    console.print("[yellow]It waits for your decision about:[/]")
    for request in shown.requests:
        line = f"  {request['id']}  {described(request['name'], request['arguments'])}"
        console.print(line, markup=False, highlight=False, soft_wrap=True)
    console.print(f"Answer with: {how_to_answer(shown.id)}", markup=False, highlight=False, soft_wrap=True)
