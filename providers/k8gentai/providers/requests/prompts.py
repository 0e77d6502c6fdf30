"""The ``prompt`` of a request: a text that the stack keeps, put before the request's instructions.

It is looked up when the turn is accepted, as the caller; so every attempt at the turn sees the same text.
"""

import re
from dataclasses import replace
from typing import Any

from k8gentai.agents.contract.turn import Item
from k8gentai.providers import host
from k8gentai.providers.errors import invalid
from k8gentai.providers.requests.input_items import input_items
from k8gentai.providers.requests.request import CreateRequest

_VARIABLE = re.compile(r"\{\{\s*(\w+)\s*\}\}")


async def with_prompt(prompts: Any, turn_id: str, request: CreateRequest) -> CreateRequest:
    """Return the request with its prompt's text in its instructions, and images and files among its variables in
    its input, as Llama Stack's own provider does it.

    Args:
        prompts: the host's Prompts API.
        turn_id: the turn's.
        request: the request as it was read.

    Raises:
        ApiError: there is no such prompt or version, it has no such variable, or one is given no value (400).
    """
    asked = request.prompt
    if asked is None or not asked.id:
        return request
    prompt = await _found(prompts, asked.id, asked.version)
    variables = asked.variables or {}
    for name in variables:
        if name not in prompt.variables:
            known = ", ".join(prompt.variables) or "none"
            message = f"Prompt '{asked.id}' has no variable '{name}'; it has: {known}."
            raise invalid(message, f"prompt.variables.{name}")
    named = set(_VARIABLE.findall(prompt.prompt or ""))
    if missing := [name for name in prompt.variables if name in named and variables.get(name) is None]:
        place = f"prompt.variables.{missing[0]}"
        raise invalid(f"'{place}' is required by prompt '{asked.id}'.", place, "missing_required_parameter")
    text = _filled(prompt.prompt or "", variables)
    instructions = "\n\n".join(part for part in (text, request.instructions) if part)
    return replace(
        request, instructions=instructions or None, input=request.input + _media(turn_id, request, variables)
    )


async def _found(prompts: Any, prompt_id: str, version: str | None) -> Any:
    if version is not None and not version.isdecimal():
        raise invalid("'prompt.version' must be a number.", "prompt.version")
    number = int(version) if version else None
    try:
        return await prompts.get_prompt(host.GetPromptRequest(prompt_id=prompt_id, version=number))
    except (ValueError, host.HostError):
        which = f"Version {number} of prompt" if number else "Prompt"
        message = f"{which} '{prompt_id}' was not found. GET /v1/prompts lists those there are."
        raise invalid(message, "prompt.version" if number else "prompt.id", "prompt_not_found") from None


def _filled(text: str, variables: dict[str, Any]) -> str:
    """Return the text with its variables; what is none of the prompt's stays as it is."""

    def value(match: re.Match[str]) -> str:
        given = variables.get(match[1])
        if given is None:
            return match[0]
        kind = given.type.removeprefix("input_")
        return str(given.text) if kind == "text" else f"[{kind.title()}: {match[1]}]"

    return _VARIABLE.sub(value, text)


def _media(turn_id: str, request: CreateRequest, variables: dict[str, Any]) -> list[Item]:
    """Return the images and files among variables, as one more message of the user's."""
    parts = [given.model_dump(mode="json", exclude_none=True) for given in variables.values()]
    media = [part for part in parts if part["type"] != "input_text"]
    if not media:
        return []
    message = {"type": "message", "role": "user", "content": media}
    return input_items(turn_id, [*request.input, message])[len(request.input) :]
