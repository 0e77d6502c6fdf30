"""Writes what BeeAI's tools came to into the turn's record, and makes the same of it again in a later attempt."""

import json
from typing import cast

from beeai_framework.tools import JSONToolOutput, StringToolOutput, ToolOutput

from k8gentai.agents.adapters.base.kept_results import read_result, round_trip, write_result


def recorded(output: ToolOutput) -> str:
    """Return a tool's output as JSON; empty where its text says it all, or what is read back is not the same."""
    return "" if type(output) is StringToolOutput else written(output) or ""


def written(output: ToolOutput) -> str | None:
    """Return a tool's output as JSON; None where what is read back is not the same."""
    return round_trip(output, _plain, remade) or round_trip(output, _whole, remade)


def remade(text: str) -> ToolOutput:
    """Return what :func:`written` wrote; its text where its class is not what it was."""
    kept = json.loads(text)
    try:
        if "whole" in kept:
            return cast(ToolOutput, read_result(kept["whole"], (ToolOutput,)))
    except (LookupError, ValueError):
        return StringToolOutput(kept["text"])
    return JSONToolOutput(kept["json"]) if "json" in kept else StringToolOutput(kept["text"])


def _plain(output: ToolOutput) -> str:
    """Return what an output is of, where it is of BeeAI's own classes for JSON or text."""
    return json.dumps(
        {"json": output.result} if isinstance(output, JSONToolOutput) else {"text": output.get_text_content()}
    )


def _whole(output: ToolOutput) -> str:
    """Return an output of any class, with the text that stands for it where a reader has no such class."""
    return json.dumps({"text": output.get_text_content(), "whole": write_result(output, (ToolOutput,))})
