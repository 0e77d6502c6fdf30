"""An agent of no framework: the functions that its model calls are looked up in a table, and run."""

import json

from openai import AsyncOpenAI

from k8gentai.stack.conformance import tools


def write(path: str, line: str) -> str:
    """Add a line to a file."""
    return tools.write(path, line)


_FUNCTIONS = {"write": write}
_PARAMETERS = {
    "type": "object",
    "properties": {name: {"type": "string"} for name in ("path", "line")},
    "required": ["path", "line"],
}
_SCHEMA = {"type": "function", "function": {"name": "write", "description": "Write.", "parameters": _PARAMETERS}}


async def answer(question: str) -> str:
    """Ask the model once, and say what its calls came to."""
    asked = await AsyncOpenAI().chat.completions.create(
        model="gpt-4.1-mini", messages=[{"role": "user", "content": question}], tools=[_SCHEMA]
    )
    calls = [call.function for call in asked.choices[0].message.tool_calls or ()]
    return "; ".join(_FUNCTIONS[call.name](**json.loads(call.arguments)) for call in calls)
