"""Tool calls for a model too small to make them by itself.

The model is asked one thing at a time: first for a call, in a JSON schema that holds the offered tools and
nothing else, then for one sentence with the tool's result. It chooses the tool and the order of the
arguments; where a parameter is a number, the schema allows the numbers of the question only, read from left
to right where there are more than one call takes. A parameter ``query`` is the question as it was asked. A
number that a tool returned ends the answer, by grammar; of a long text the model is shown one sentence, the
nearest to the question. What a tool answers is never made up here.

All functions are pure: from an OpenAI chat completions request to one for llama.cpp, and back.
"""

import json
import re
from dataclasses import dataclass
from itertools import islice, permutations
from typing import Any

from k8gentai.stack.model import passages

Json = dict[str, Any]

NUMBER = re.compile(r"(?<![\w.])-?\d+(?:\.\d+)?(?![\w]|\.\d)")
MOST_NUMBERS = 6
"""The most numbers that a question may have: the orders in which they can be arguments are all written into the
schema."""
MOST_ORDERS = 120
_UNREAD = {"file", "image_url", "input_audio"}
QUERY = "query"
"""The parameter of a search, as tools that search call it."""
_EXAMPLE = "What is 5 plus 9?"


@dataclass(frozen=True)
class Round:
    """The last question of a request, and what was done about it since."""

    question: str
    """The question as far as it is still to be answered: a result stands for the part that it answers."""
    numbers: list[str]
    """The numbers in ``question``."""
    results: list[str]
    """The results of tools since the question, oldest first."""
    answered: str
    """The part of the question that the last result answers."""
    calls: int
    """The number of calls that were made since the question."""
    asked: int
    """The number of numbers that the whole question had."""


def read_round(messages: list[Json]) -> Round:
    """Return what the messages of a request come to: the last question, and the calls and results after it."""
    last = max((at for at, message in enumerate(messages) if message["role"] == "user"), default=0)
    question = _whole_question(messages[: last + 1])
    asked = len(NUMBER.findall(question))
    since = messages[last + 1 :]
    made = [call["function"]["arguments"] for message in since for call in message.get("tool_calls") or []]
    results = [tidy(text_of(message)) for message in since if message["role"] == "tool"]
    answered = question
    for arguments, result in zip(made, results, strict=False):
        used = {tidy(number) for number in NUMBER.findall(arguments)}
        found = [match for match in NUMBER.finditer(question) if match[0] in used]
        if found and NUMBER.fullmatch(result):
            end = found[: len(NUMBER.findall(arguments))][-1].end()
            answered, question = question[:end], result + question[end:]
    numbers = NUMBER.findall(question)[:MOST_NUMBERS]
    return Round(question, numbers, results, answered, len(made), asked)


def _whole_question(messages: list[Json]) -> str:
    """Return the last message's text; where it has one number only ("now add 9 to it"), after the number that the
    answer before it ended with."""
    question = text_of(messages[-1]) if messages else ""
    if len(NUMBER.findall(question)) == 1:
        before = [NUMBER.findall(text_of(message)) for message in messages if message["role"] == "assistant"]
        if earlier := next((found[-1] for found in reversed(before) if found), None):
            return f"{earlier}: {question}"
    return question


def text_of(message: Json) -> str:
    """Return a message's text, whether it is a string or a list of content parts."""
    content = message.get("content") or ""
    if isinstance(content, str):
        return content
    return " ".join(part.get("text", "") for part in content)


def tidy(text: str) -> str:
    """Return a whole number without ``.0``; any other text without the space around it."""
    text = text.strip()
    return text[:-2] if NUMBER.fullmatch(text) and text.endswith(".0") else text


def offered(request: Json, now: Round) -> list[Json]:
    """Return the functions the model may call now; none means that it is to answer.

    A function is offered while there are numbers for the numbers it requires. One that requires none is
    offered for the question itself, and not again after a result: the model would never stop.
    """
    choice = request.get("tool_choice")
    if choice == "none":
        return []
    tools = [tool["function"] for tool in request.get("tools") or [] if tool.get("type") == "function"]
    if isinstance(choice, dict):
        tools = [tool for tool in tools if tool["name"] == choice.get("function", {}).get("name")]
    if now.results:
        if now.calls >= now.asked:
            return []
        return [tool for tool in tools if 0 < len(_numeric(tool)) <= len(now.numbers)]
    return [tool for tool in tools if len(_numeric(tool)) <= len(now.numbers)]


def unread_parts(messages: list[Json]) -> list[str]:
    """Return the types of the parts of messages that the model cannot read, in order."""
    contents = [message.get("content") for message in messages]
    parts = [part for content in contents if isinstance(content, list) for part in content]
    types = {str(part.get("type")) for part in parts if isinstance(part, dict)}
    return sorted(types & _UNREAD)


def call_request(tools: list[Json], now: Round, model: str) -> Json:
    """Return the request that makes the model write one call: ``{"tool": name, parameter: value, …}``."""
    most = max(len(_numeric(tool)) for tool in tools)
    question, numbers = now.question, now.numbers
    if len(numbers) > most > 0:
        # Read from left to right, as much as one call takes.
        question = question[: list(NUMBER.finditer(question))[most - 1].end()]
        numbers = numbers[:most]
    listing = "\n".join(f"- {tool['name']}: {_summary(tool)}" for tool in tools)
    return {
        "model": model,
        "messages": [
            {
                "role": "system",
                "content": f"Choose the tool for the question and its arguments. Tools:\n{listing}",
            },
            {"role": "user", "content": f"{tools[0]['name']}: {_EXAMPLE}"},
            {"role": "assistant", "content": json.dumps({"tool": tools[0]["name"], **_example(tools[0])})},
            {"role": "user", "content": question},
        ],
        "temperature": 0,
        "max_tokens": 256,
        "response_format": {
            "type": "json_schema",
            "json_schema": {"name": "call", "schema": {"anyOf": _alternatives(tools, numbers, now.question)}},
        },
    }


def read_call(content: str) -> tuple[str, str]:
    """Return the call the model wrote: the function's name, and its arguments as JSON text.

    Raises:
        ValueError: if it is not whole, which happens where the model ran out of tokens.
    """
    try:
        arguments = json.loads(content)
        name = arguments.pop("tool")
    except (json.JSONDecodeError, KeyError, AttributeError, TypeError) as error:
        raise ValueError(f"the model did not write a whole tool call: {content[:80]!r}") from error
    return name, json.dumps(arguments)


def answer_request(now: Round, model: str) -> Json:
    """Return the request that makes the model say the last tool's result in one sentence."""
    result = passages.nearest(now.results[-1], now.question)
    request = {
        "model": model,
        "messages": [
            {
                "role": "system",
                "content": "Answer the question in one short sentence with the result the tool gave.",
            },
            {"role": "user", "content": f"{_EXAMPLE}\nResult: 14"},
            {"role": "assistant", "content": "5 plus 9 is 14."},
            {"role": "user", "content": f"{now.answered}\nResult: {result}"},
        ],
        "temperature": 0,
        "max_tokens": 128,
    }
    if NUMBER.fullmatch(result):
        known = dict.fromkeys([result, *NUMBER.findall(now.answered)])
        request["grammar"] = "\n".join(
            [
                "root ::= part part{0,12} " + json.dumps(f"{result}."),
                'part ::= (word | number) " "',
                "word ::= [a-zA-Z,'=*/+-]+",
                "number ::= " + " | ".join(json.dumps(number) for number in known),
            ]
        )
    return request


def _properties(tool: Json) -> dict[str, Json]:
    properties: dict[str, Json] = (tool.get("parameters") or {}).get("properties") or {}
    return properties


def _required(tool: Json) -> list[str]:
    names = (tool.get("parameters") or {}).get("required")
    return list(_properties(tool)) if names is None else list(names)


def _numeric(tool: Json) -> list[str]:
    """Return the required parameters that are numbers, in order."""
    properties = _properties(tool)
    return [name for name in _required(tool) if properties.get(name, {}).get("type") in ("number", "integer")]


def _summary(tool: Json) -> str:
    """Return the first line of a function's description."""
    return next(iter((tool.get("description") or "").strip().splitlines()), tool["name"])


def _example(tool: Json) -> Json:
    numbers = iter([5, 9])
    words = {QUERY: _EXAMPLE}
    return {
        name: next(numbers, 1) if name in _numeric(tool) else words.get(name, "plus") for name in _required(tool)
    }


def _alternatives(tools: list[Json], numbers: list[str], question: str) -> list[Json]:
    """Return a JSON schema for each way to call one of the functions with these numbers, each used once."""
    schemas = []
    for tool in tools:
        numeric = _numeric(tool)
        for order in islice(dict.fromkeys(permutations(numbers, len(numeric))), MOST_ORDERS):
            values: Json = {name: json.loads(number) for name, number in zip(numeric, order, strict=True)}
            if QUERY not in numeric:
                values[QUERY] = question
            properties: dict[str, Json] = {"tool": {"const": tool["name"]}}
            for name in _required(tool):
                schema = _properties(tool).get(name, {})
                properties[name] = {"const": values[name]} if name in values else schema
            schemas.append({"type": "object", "properties": properties, "required": list(properties)})
    return schemas
