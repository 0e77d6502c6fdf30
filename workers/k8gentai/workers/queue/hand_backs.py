"""The reasons for which a worker gives a turn back without an end."""

from k8gentai.agents.contract.events import TurnFailed

_FAR_SECONDS = 86_400.0
_MANY = 10_000


class AgentMissingError(Exception):
    """This worker cannot import the turn's agent; another may.

    Args:
        end: what the turn ends with that no worker can run.
    """

    def __init__(self, end: TurnFailed) -> None:
        super().__init__(end.message)
        self.end = end


class StaleCodeError(Exception):
    """This process has other code of an agent than is registered, and is about to be replaced."""


class BrokeOffError(Exception):
    """The attempt broke off by something that the agent did not do; the turn may be tried again.

    Args:
        end: what the turn ends with that has broken off too long or too often.
        seconds: how long it may.
        often: how often it may.
    """

    def __init__(self, end: TurnFailed, *, seconds: float = _FAR_SECONDS, often: int = _MANY) -> None:
        super().__init__(end.message)
        self.end = end
        self.seconds = seconds
        self.often = often
