"""Reads and writes a turn's record as the release before this one does.

In a rolling update its servers settle turns that this release accepted, and the other way round. It knew two
fronts by fields of their own, where a record now has an opaque :class:`k8gentai.workers.queue.origin.Origin`. All
of this goes with the next release.
"""

from typing import Any, Final

from pydantic import BaseModel, Field, computed_field, model_validator

from k8gentai.workers.queue.origin import Origin

RESPONSES: Final = "responses"
AGENTS: Final = "agents"
COMPACTION: Final = "compaction"
_ONCE: Final = {"tool_calls", "tool_responses", "asked_at"}


class BothForms(BaseModel):
    """Reads records of both releases, and writes the fields that the earlier one reads."""

    origin: Origin = Field(default_factory=Origin)
    keep_history: bool = False
    """Whether the turn's history is read after the turn was settled, too."""

    @model_validator(mode="before")
    @classmethod
    def _lift(cls, data: Any) -> Any:
        """Give a record of the earlier release its version and its origin."""
        if not isinstance(data, dict) or "origin" in data or not {"classic", COMPACTION} & data.keys():
            return data
        compaction = bool(data.get(COMPACTION))
        origin = Origin(api=RESPONSES, data={COMPACTION: True} if compaction else {})
        if classic := data.get("classic"):
            once = {name: value for name, value in classic.items() if name in _ONCE}
            origin = Origin(api=AGENTS, data={name: classic[name] for name in classic.keys() - once}, once=once)
        return {"version": 1, **data, "origin": origin, "keep_history": compaction}

    @computed_field  # type: ignore[prop-decorator]  # https://github.com/python/mypy/issues/14461
    @property
    def classic(self) -> dict[str, Any] | None:
        """The origin of a turn of the classic Agents API, by the name that the earlier release has for it."""
        return {**self.origin.data, **self.origin.once} if self.origin.api == AGENTS else None

    @computed_field  # type: ignore[prop-decorator]  # as above
    @property
    def compaction(self) -> bool:
        """Whether it is a turn of the Responses API that sums up and whose history is kept, by the name that the
        earlier release has for it."""
        return self.origin.api == RESPONSES and bool(self.origin.data.get(COMPACTION))
