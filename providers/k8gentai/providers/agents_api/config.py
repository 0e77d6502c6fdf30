"""An agent's configuration in the classic API as fields of a Responses API request."""

import re
from typing import Any

from k8gentai.providers.agents_api.errors import not_supported
from k8gentai.providers.agents_api.shapes import (
    AgentConfig,
    ClientTool,
    Grammar,
    SamplingParams,
    ToolConfig,
    TopK,
    TopP,
)

_JSON_TYPES = {
    **dict.fromkeys(("str", "string"), "string"),
    **dict.fromkeys(("int", "integer"), "integer"),
    **dict.fromkeys(("float", "number"), "number"),
    **dict.fromkeys(("bool", "boolean"), "boolean"),
    **dict.fromkeys(("list", "array", "List"), "array"),
    **dict.fromkeys(("dict", "object", "Dict"), "object"),
}
"""JSON Schema's names of the types that clients 0.2 name as Python does."""

_NEUTRAL_PENALTY = 1.0


def request_fields(
    config: AgentConfig, tools: list[dict[str, Any]], *, registered: bool, tool_config: ToolConfig | None
) -> dict[str, Any]:
    """Return what the configuration asks for, as fields of ``POST /v1/responses`` without ``model`` and ``input``.

    Args:
        config: the agent's.
        tools: the tools of its tool groups, and of the turn's.
        registered: it stands for a registered agent, which has code and a prompt of its own.
        tool_config: the turn's own, which goes before the agent's.

    Raises:
        ApiError: it asks for something that there is not here (501).
    """
    _refuse_unsupported(config)
    fields: dict[str, Any] = {
        "instructions": config.instructions or None,
        "tools": [*map(_function, config.client_tools or ()), *tools] or None,
        "tool_choice": _tool_choice(config, tool_config, registered=registered),
        "max_infer_iters": config.max_infer_iters,
        "text": _text(config),
        # The stack runs a guardrail on what is said and on what is answered.
        "guardrails": sorted({*(config.input_shields or ()), *(config.output_shields or ())}) or None,
        **_sampling(config.sampling_params or SamplingParams(), registered=registered),
    }
    return {name: value for name, value in fields.items() if value is not None}


def _refuse_unsupported(config: AgentConfig) -> None:
    if isinstance(config.response_format, Grammar):
        raise not_supported("agent_config.response_format", "send a JSON schema in place of a grammar.")
    if config.tool_prompt_format not in (None, "json"):
        raise not_supported("agent_config.tool_prompt_format", "models are told of tools in their API's own way.")


def _function(tool: ClientTool) -> dict[str, Any]:
    return {
        "type": "function",
        "name": tool.name,
        "description": tool.description or "",
        "parameters": tool.input_schema or _schema(tool),
        "strict": False,
    }


def _schema(tool: ClientTool) -> dict[str, Any]:
    properties = {}
    for parameter in tool.parameters or ():
        described = {"type": _JSON_TYPES.get(parameter.parameter_type, "string")}
        if parameter.description:
            described["description"] = parameter.description
        properties[parameter.name] = described
    required = [parameter.name for parameter in tool.parameters or () if parameter.required]
    return {"type": "object", "properties": properties, "required": required}


def _tool_choice(config: AgentConfig, of_turn: ToolConfig | None, *, registered: bool) -> Any:
    chosen: str | None = config.tool_choice
    for place, tool_config in (("agent_config.tool_config", config.tool_config), ("tool_config", of_turn)):
        if tool_config is None:
            continue
        if tool_config.tool_prompt_format not in (None, "json"):
            raise not_supported(f"{place}.tool_prompt_format", "models are told of tools in their API's own way.")
        if tool_config.system_message_behavior == "replace" and registered:
            raise not_supported(f"{place}.system_message_behavior", "a registered agent keeps its own prompt.")
        chosen = tool_config.tool_choice or chosen
    if chosen in (None, "auto", "required", "none"):
        return chosen
    return {"type": "function", "name": chosen}


def _text(config: AgentConfig) -> dict[str, Any] | None:
    if config.response_format is None or isinstance(config.response_format, Grammar):
        return None
    given = config.response_format.json_schema
    # The schema itself, or OpenAI's envelope around it.
    schema = given["schema"] if isinstance(given.get("schema"), dict) else given
    name = re.sub(r"[^A-Za-z0-9_-]", "_", str(given.get("name") or schema.get("title") or "answer"))[:64]
    return {"format": {"type": "json_schema", "name": name, "schema": schema}}


def _sampling(params: SamplingParams, *, registered: bool) -> dict[str, Any]:
    place = "agent_config.sampling_params"
    if params.repetition_penalty not in (None, _NEUTRAL_PENALTY):
        raise not_supported(f"{place}.repetition_penalty", "only 1.0, which changes nothing.")
    if isinstance(params.strategy, TopK):
        raise not_supported(f"{place}.strategy", "'top_k' is no parameter of the models' API.")
    if params.stop and registered:
        raise not_supported(f"{place}.stop", "a registered agent makes its model calls itself.")
    temperature, top_p = None, None
    if isinstance(params.strategy, TopP):
        temperature, top_p = params.strategy.temperature, params.strategy.top_p
    elif params.strategy is not None:
        temperature = 0.0
    return {
        "temperature": temperature,
        "top_p": top_p,
        "max_output_tokens": params.max_tokens or None,
        "stop": params.stop or None,
    }
