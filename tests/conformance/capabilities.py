"""The frameworks, and what one of them cannot do."""

FRAMEWORKS = ("langgraph", "crewai", "ag2", "beeai")

TEXT_DELTAS = "text token by token"
ARGUMENT_DELTAS = "arguments of tool calls piece by piece"
PARALLEL_TOOLS = "several tools of one answer at the same time"
CLIENT_TOOLS = "tools that the client runs"

CANNOT: dict[str, dict[str, str]] = {
    "langgraph": {},
    "crewai": {},
    "ag2": {ARGUMENT_DELTAS: "AG2 hands on a tool call when it is whole"},
    "beeai": {},
}
"""By framework: the capability it cannot have, and why."""


def reason(framework: str, capability: str) -> str | None:
    """Why a framework cannot do something; None where it can."""
    return CANNOT[framework].get(capability)
