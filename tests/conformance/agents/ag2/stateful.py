"""An agent whose tools leave something in its context for each other, as AG2's documentation has them do."""

from ag2 import Agent, Context, tool
from ag2.config import OpenAIConfig

from k8gentai.stack.conformance import tools


@tool
def login(context: Context, user: str) -> str:
    """Log in."""
    context.variables["user"] = user
    context.variables["rights"] = {"read"}
    context.variables.pop("guest")
    return f"logged in as {user}"


@tool
async def allow(context: Context, right: str) -> str:
    """Add a right, in a set that is there, and fail where there is such a right."""
    if right in context.variables["rights"]:
        context.variables["tries"] = context.variables.get("tries", 0) + 1
        raise ValueError(f"{right} is allowed")
    context.variables["rights"].add(right)
    return "allowed"


@tool
def brief(context: Context, line: str) -> str:
    """Add a line to the prompt, and one to what the model is told next."""
    context.prompt.append(line)
    context.enqueue(f"Mind: {line}")
    return "briefed"


@tool
def sign(context: Context, path: str) -> str:
    """Write who is logged in, and what they may."""
    known = context.variables
    line = f"{known.get('user')} {sorted(known.get('rights', ()))} {known.get('tries')} {known.get('guest')}"
    return tools.write(path, line)


clerk = Agent(
    "clerk",
    config=OpenAIConfig("gpt-4.1-mini"),
    tools=[login, allow, brief, sign],
    variables={"guest": True},
)
