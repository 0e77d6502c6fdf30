"""The origin of a turn: the front that it came through."""

from typing import Any

from pydantic import BaseModel, ConfigDict, Field


class Origin(BaseModel):
    """The front that a turn came through, and what that front must remember of the turn. Opaque to the queue."""

    model_config = ConfigDict(frozen=True)

    api: str = ""
    """The front's name; empty where no front is known."""
    data: dict[str, Any] = Field(default_factory=dict)
    """The front's own data that hold for the turn, and for a turn that goes on with it."""
    once: dict[str, Any] = Field(default_factory=dict)
    """The front's own data that hold for this turn alone."""

    def going_on(self) -> "Origin":
        """Return the origin of a turn that goes on with this one."""
        return Origin(api=self.api, data=self.data)
