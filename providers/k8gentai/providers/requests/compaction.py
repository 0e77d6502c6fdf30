"""``POST /v1/responses/compact``: what was said so far, made short for the turns that follow.

A compaction is a turn of a plain model, asked to sum up its history and input, and as durable as any. Its
response continues like others (``previous_response_id``): what the user said stands verbatim in its input, and
its output is one item of type ``compaction``. As with OGX, that item's ``encrypted_content`` is the summary as
plain text.

Source: https://platform.openai.com/docs/api-reference/responses/compact
"""

from typing import Any

from k8gentai.agents.contract.turn import Item
from k8gentai.providers.errors import ApiError, invalid
from k8gentai.providers.ids import item_id
from k8gentai.providers.requests.request import RESPONSES
from k8gentai.workers.queue.origin import Origin
from k8gentai.workers.queue.record import AcceptedTurn

COMPACTION = Origin(api=RESPONSES.api, data={"compaction": True})
"""The origin of a compaction's turn."""

_TASK = (
    "Sum up the conversation so far for another assistant, who will go on with it and sees nothing but your "
    "summary and the user's own messages. Say what the user wants, what was done and decided, and what is still "
    "to do. Keep names, figures, identifiers and results of tools exactly. Write the summary only."
)
_TAKEN = ("model", "previous_response_id", "instructions", "prompt_cache_key")


def is_compaction(record: AcceptedTurn) -> bool:
    """Return whether a turn sums up its history and input: later turns see its summary in their place."""
    origin = record.origin
    return origin.api == COMPACTION.api and bool(origin.data.get("compaction"))


def summary_request(body: Any) -> dict[str, Any]:
    """Return the request for the turn that sums up.

    Args:
        body: the compaction's, as it came. What else it says, of tools for instance, is for turns in which
            the model may do more than write, and is left out.

    Raises:
        ApiError: it names nothing to sum up.
    """
    if not isinstance(body, dict):
        raise invalid("The body must be a JSON object.")
    given = body.get("input")
    if given is None and body.get("previous_response_id") is None:
        raise invalid("'input' or 'previous_response_id' is required.", "input", "missing_required_parameter")
    if isinstance(given, str):
        given = [{"role": "user", "content": given}]
    if not isinstance(given, list | None):
        raise invalid("'input' must be a string or a list of items.", "input")
    task = {"role": "user", "content": _TASK}
    return {**{name: body[name] for name in _TAKEN if body.get(name) is not None}, "input": [*(given or ()), task]}


def compact(response: dict[str, Any], history: list[Item], given: list[Item]) -> tuple[dict[str, Any], list[Item]]:
    """Return what a turn that summed up has made, for those that continue it.

    Args:
        response: the response as it was rendered.
        history: the items that were summed up,
        given: and the turn's input, with the task at its end.

    Returns:
        The response with the compaction as its output, and the messages of the user as its input. A response that
        did not come to its end has no output.
    """
    said = [item for item in [*history, *given[:-1]] if item["type"] == "message" and item["role"] == "user"]
    if response["status"] != "completed":
        return {**response, "output": []}, said
    parts = [part for item in response["output"] if item["type"] == "message" for part in item["content"]]
    compaction = {
        "type": "compaction",
        "id": item_id(response["id"], len(given), "compaction"),
        "encrypted_content": "".join(part.get("text", "") for part in parts),
    }
    return {**response, "output": [compaction]}, said


def compaction_resource(response: dict[str, Any], given: list[Item]) -> dict[str, Any]:
    """Return the answer to the request.

    Args:
        response: from :func:`compact`.
        given: the messages of the user.

    Raises:
        ApiError: there is no summary, as the turn failed (502) or was cancelled (409).
    """
    if response["status"] == "cancelled":
        raise ApiError(409, f"The compaction '{response['id']}' was cancelled.", code="compaction_cancelled")
    if response["status"] != "completed":
        error = response["error"] or {"message": "the summary was cut off", "reason": "incomplete"}
        raise ApiError(502, f"The model made no summary: {error['message']}", code=error["reason"])
    return {
        "id": response["id"],
        "object": "response.compaction",
        "created_at": response["created_at"],
        "output": [*given, *response["output"]],
        "usage": response["usage"],
    }
