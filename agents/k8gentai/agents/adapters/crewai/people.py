"""Where CrewAI would ask a person at the console, of which a worker has none."""

from typing import Any, NoReturn

from k8gentai.agents.turn import TurnError


class HumanInputError(TurnError):
    """A task wants a person's word on its result."""

    code = "interrupt_unsupported"

    def __init__(self) -> None:
        super().__init__("the agent asked for a person's feedback (human_input), for which a turn cannot wait yet")


class Nobody:
    """A provider of human input (:class:`crewai.core.providers.human_input.HumanInputProvider`) that has none."""

    def setup_messages(self, context: Any) -> bool:
        """Leave the messages to CrewAI."""
        return False

    def post_setup_messages(self, context: Any) -> None:
        """Leave the messages as they are."""

    def handle_feedback(self, formatted_answer: Any, context: Any) -> NoReturn:
        """Raises:
        HumanInputError: always.
        """
        raise HumanInputError

    async def handle_feedback_async(self, formatted_answer: Any, context: Any) -> NoReturn:
        """Raises:
        HumanInputError: always.
        """
        raise HumanInputError
