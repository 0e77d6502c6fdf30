"""What the tool of a call itself came to, before code of the agent's around it made the call's result of it."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractAsyncContextManager, contextmanager, nullcontext
from contextvars import ContextVar

from pydantic import BaseModel

from k8gentai.agents.code.kept_errors import read_error, write_error
from k8gentai.agents.text.utf8 import Text


class FailedTry(BaseModel):
    """A run of a tool that failed, after which code around it may have run it once more."""

    text: Text
    """What it raised, from :func:`k8gentai.agents.code.kept_errors.write_error`; or the error that it returned, as
    the framework's adapter wrote it."""
    was_raised: bool


class OwnResult:
    """What the tool of a call came to itself.

    Code of the agent's around it may stop to ask a person. The call is made again once there is an answer, and
    what its tool had done it does not do again: it returns, or raises, what it did.

    Args:
        text: the result as the framework's adapter wrote it in an earlier attempt; None where it has none.
        on_kept: called once the tool has returned or failed.
        waited_for: returns what is open, in whatever loop, while that code waits for the tool: that it stops
            waiting is kept, and done again when the turn is run again.
        failed: the tries that failed in an earlier attempt, in their order.
    """

    def __init__(
        self,
        text: str | None = None,
        on_kept: Callable[[], None] | None = None,
        waited_for: Callable[[], AbstractAsyncContextManager[None]] = nullcontext,
        failed: Sequence[FailedTry] = (),
    ) -> None:
        self.waited_for = waited_for
        self.failed = list(failed)
        """The tries that failed, in their order."""
        self.is_approved = False
        """Whether a person approved the call."""
        self.is_lost = False
        """Whether the tool returned, or raised, what cannot be written."""
        self._text = text
        self._on_kept = on_kept
        self._to_come = iter(failed)
        self._raised_again: Exception | None = None

    @property
    def text(self) -> str | None:
        """What the tool returned, as the adapter wrote it; None where it has not, or that cannot be written."""
        return self._text

    @property
    def has_ended(self) -> bool:
        """Whether the tool returned or failed, in this attempt or an earlier one."""
        return self.is_lost or self._text is not None or bool(self.failed)

    def again(self) -> str | None:
        """Return what the tool's next run returned in an earlier attempt, as the adapter wrote it; None where
        there was no such run, so that it is to run.

        Raises:
            Exception: what that run raised.
        """
        before = next(self._to_come, None)
        if before is None:
            return self._text
        if before.was_raised:
            self._raised_again = read_error(before.text)
            raise self._raised_again
        return before.text

    def keep(self, text: str | None) -> None:
        """Note that the tool returned.

        Args:
            text: what it returned; None where that cannot be written.
        """
        self._text, self.is_lost = text, text is None
        self._note()

    def fail(self, error: Exception) -> None:
        """Note that the tool raised an error, unless it is one that it had raised before. One that cannot be
        written is lost, as such a result is."""
        if error is self._raised_again:
            return
        if (text := write_error(error)) is None:
            self.is_lost = True
        else:
            self.failed.append(FailedTry(text=text, was_raised=True))
        self._note()

    def keep_error(self, text: str | None) -> None:
        """Note that the tool returned an error.

        Args:
            text: what it returned; None where that cannot be written: it is run again then.
        """
        if text is not None:
            self.failed.append(FailedTry(text=text, was_raised=False))
            self._note()

    @contextmanager
    def tried(self, *passing: type[Exception]) -> Iterator[None]:
        """While inside, the tool runs: note what it raises.

        Args:
            passing: what is no failure, but a word of the framework to itself.
        """
        try:
            yield
        except passing:
            raise
        except Exception as error:
            self.fail(error)
            raise

    def _note(self) -> None:
        if self._on_kept is not None:
            self._on_kept()


current_own_result: ContextVar[OwnResult | None] = ContextVar("current_own_result", default=None)
"""Takes what the tool of the call at hand comes to. The tool boundary sets it."""
