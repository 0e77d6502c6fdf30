"""The shape that a request asks of the answer, as BeeAI checks it."""

from typing import Any

from pydantic import BaseModel, ConfigDict

from k8gentai.agents.contract.turn import Turn


def structured_answer(turn: Turn) -> type[BaseModel] | None:
    """Return what the answer has to be; None where plain text will do.

    BeeAI would take an answer that is JSON for the arguments of its ``final_answer``. Whether it keeps to its
    schema is the model server's affair: here any object will do.
    """
    asked = (turn.parameters.get("text") or {}).get("format") or {"type": "text"}
    if asked["type"] == "text":
        return None
    schema: dict[str, Any] = asked.get("schema") or {"type": "object", "properties": {}}

    def show(own: dict[str, Any]) -> None:
        own.clear()
        own.update(schema)

    class Answer(BaseModel):
        model_config = ConfigDict(extra="allow", json_schema_extra=show)

    return Answer
