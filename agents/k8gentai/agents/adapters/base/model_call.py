"""The ids that every model call of a turn has: that of its message and that of its step."""

from dataclasses import dataclass


@dataclass
class NumberedCall:
    """One model call. Calls are counted within the turn, so that a second run of the agent gives the same ids."""

    number: int

    @property
    def message_id(self) -> str:
        """The id of the message that answers."""
        return f"m{self.number}"

    @property
    def step_id(self) -> str:
        """The id of the step that it is."""
        return f"s{self.number}"
