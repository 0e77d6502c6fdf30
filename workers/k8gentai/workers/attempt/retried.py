"""The journal of a failed turn as it answers the turn that tries it anew (``k8gentai turns retry``)."""

from collections.abc import Mapping
from functools import partial

from k8gentai.agents.contract.error_codes import is_model_error
from k8gentai.agents.contract.events import TurnEnd, TurnFailed
from k8gentai.workers.attempt.given_up import GivenUp
from k8gentai.workers.attempt.journal_entries import Failure, begun_tools, done_tools
from k8gentai.workers.queue.attempts import Attempts, Lease
from k8gentai.workers.queue.connection import until_back
from k8gentai.workers.queue.stored import FAILURE, GIVEN_UP, ORDER

_TOLD_CHARACTERS = 200
"""The number of characters of a cause that the message of a turn's end has room for at least, where it tells of
that."""


async def tried_anew(attempts: Attempts, lease: Lease, failed: str, recorded: Mapping[str, str]) -> dict[str, str]:
    """Take what may have failed the turn out of the journal, and return what remains.

    Args:
        attempts: knows how the turn ended.
        lease: of the attempt.
        failed: the failed turn.
        recorded: the failed turn's journal, with what the turn at hand has added.

    Raises:
        FencedError: the attempt lost its turn.
    """
    end = await until_back(partial(attempts.end_of, failed))
    keys = left_out(recorded, failed, end if isinstance(end, TurnEnd) else None)
    for key in keys:
        # Not only from what is at hand: the turns that go on with this one have its journal.
        await until_back(partial(attempts.record, lease, key, ""))
    gone = {*keys, *(ORDER + key.removeprefix(FAILURE) for key in keys)}
    return {key: value for key, value in recorded.items() if key not in gone}


def left_out(recorded: Mapping[str, str], failed: str, end: TurnEnd | None) -> list[str]:
    """Return the keys of what may have failed a turn: a model whose failure did is asked again, as is what was
    refused, and what the agent gave up last may take longer.

    Args:
        recorded: its journal. What turns before it and after it recorded is not among them: a person has answered
            those before, and the one after is what tries it anew.
        failed: the turn.
        end: the failed turn's end, if that is known.
    """
    failures = _last(recorded, FAILURE, Failure, failed)
    if isinstance(end, TurnFailed) and not is_model_error(end.code):
        failures = failures if any(_is_told(each.cause, end.message) for each in failures.values()) else {}
    return [*failures, *_last(recorded, GIVEN_UP, GivenUp, failed)]


def _is_told(cause: str, message: str) -> bool:
    """Return whether the end of a turn tells of a cause, perhaps in part: messages are cut."""
    return cause[:_TOLD_CHARACTERS] in message


def _last[T: (Failure, GivenUp)](
    recorded: Mapping[str, str], kind: str, form: type[T], turn_id: str
) -> dict[str, T]:
    """Return the entries of a kind, of one turn, that no tool call began after: from those the agent had not gone
    on."""
    begun, done = len(begun_tools(recorded)), len(done_tools(recorded))
    entries = {key: form.model_validate_json(value) for key, value in recorded.items() if key.startswith(kind)}

    def is_last(entry: Failure | GivenUp) -> bool:
        return entry.tools_done >= done if entry.tools_begun is None else entry.tools_begun >= begun

    return {key: each for key, each in entries.items() if each.turn_id == turn_id and is_last(each)}
