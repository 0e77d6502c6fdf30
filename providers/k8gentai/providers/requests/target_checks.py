"""Checks that a request asks nothing that its agent cannot do."""

from typing import Any

from k8gentai.agents.adapters.base.parameters import unsupported
from k8gentai.agents.adapters.base.request_parts import file_parts
from k8gentai.providers.errors import invalid
from k8gentai.providers.requests.request import CreateRequest
from k8gentai.providers.requests.targets import Target


def check_parameters(parameters: dict[str, Any], target: Target) -> None:
    """See that the agent can do what the request asks.

    Raises:
        ApiError: it cannot; naming the parameter (400).
    """
    if target.framework == "llama-stack":
        return
    if place := unsupported(parameters, declarative=target.declarative):
        kind = "a declarative agent" if target.declarative else "an agent with code of its own"
        message = f"'{place}' cannot be asked of '{target.agent}', {kind} of {target.framework}: leave it out."
        raise invalid(message, place, "unsupported_parameter")


def check_parts(request: CreateRequest, target: Target) -> None:
    """See that the agent takes what comes with the request.

    Raises:
        ApiError: it does not; naming the first such part (400).
    """
    if "tools" in target.refuses and request.tools:
        message = f"'tools': '{target.agent}' has the tools of its code, and takes none of a request."
        raise invalid(message, "tools", "unsupported_parameter")
    for index, tool in enumerate(request.tools):
        place, kind, name = f"tools[{index}]", tool.get("type"), tool.get("name")
        if target.framework != "llama-stack" and kind != "function":
            message = f"'{place}.type': agents of {target.framework} take functions, and no {kind}."
            raise invalid(message, f"{place}.type", "unsupported_parameter")
        if kind == "function" and name in target.tools:
            # A call of that name would be the client's to make, and the agent's own.
            message = f"'{place}.name': '{target.agent}' itself has a tool '{name}'."
            raise invalid(message, f"{place}.name")
    if "files" in target.refuses:
        for place, part in file_parts(request.input):
            message = f"'{place}': '{target.agent}' takes text alone, and no {part['type']}."
            raise invalid(message, place, "unsupported_parameter")
