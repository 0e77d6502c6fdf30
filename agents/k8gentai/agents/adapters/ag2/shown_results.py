"""Shows each call with what the model is told of it in the end.

The boundary publishes what a tool came to. Middleware around it may make another result of that, run the tool
again, or answer a call without it; and AG2 itself answers the calls of tools that are not there.
"""

from collections.abc import Callable
from typing import Any

from ag2 import ToolResult as AG2Result
from ag2.events import ToolErrorEvent, ToolResultEvent

from k8gentai.agents.adapters.ag2.run import TurnRun
from k8gentai.agents.adapters.ag2.tools import texts_of
from k8gentai.agents.code.exceptions import words_of
from k8gentai.agents.contract.events import ItemDropped, ToolResult

_TRACEBACK = "Traceback (most recent call last):"


def take_result(run: TurnRun, encode: Callable[[Any], str], event: ToolResultEvent) -> None:
    """Take a result that the model is about to be told.

    Args:
        encode: writes values that are no text, as the agent does for its model.
    """
    call_id = event.parent_id
    if call_id in run.client_calls:
        # Middleware refuses it: the client is not to make it.
        run.client_calls.discard(call_id)
        run.publish(ItemDropped(item_id=call_id))
    made = run.made_calls.get(call_id)
    if made is not None and event.result is made.result:
        told = made.outcome
    elif made is not None or run.waits_for(call_id):
        told = _told(encode, event)
    else:
        return
    if made is None:
        run.context.tools.exempt(call_id)
        run.publish(told)
    elif told != made.shown:
        made.shown = told
        for replacing in (ItemDropped(item_id=call_id), made.call, told):
            run.publish(replacing)


def _told(encode: Callable[[Any], str], event: ToolResultEvent) -> ToolResult:
    """Return a result that code or AG2 made, as it is shown. No model is told a traceback."""
    text = "\n".join(texts_of(encode, event.result)).strip()
    if isinstance(event, ToolErrorEvent) and text.startswith(_TRACEBACK):
        text = words_of(event.error)
        event.result = AG2Result(text)
    return ToolResult(call_id=event.parent_id, output=text, is_error=isinstance(event, ToolErrorEvent))
