"""Publishes the results of calls that never came to the boundary: no tool is there for them, or middleware refuses
them."""

from ag2 import ToolResult as AG2Result
from ag2.events import TextInput, ToolErrorEvent, ToolResultEvent

from k8gentai.agents.adapters.ag2.run import TurnRun
from k8gentai.agents.events import ToolResult
from k8gentai.agents.exits import words_of


def take_result(run: TurnRun, event: ToolResultEvent) -> None:
    """Take a result that the model is about to be told. What is an error is told without its traceback."""
    if not run.waits_for(event.parent_id):
        return
    is_error = isinstance(event, ToolErrorEvent)
    if isinstance(event, ToolErrorEvent):
        event.result = AG2Result(words_of(event.error))
    text = "".join(part.content for part in event.result.parts if isinstance(part, TextInput))
    run.context.tools.exempt(event.parent_id)
    run.publish(ToolResult(call_id=event.parent_id, output=text.strip(), is_error=is_error))
