"""The journal of a failed turn as it answers the turn that tries it anew (``k8gentai turns retry``)."""

import json
from collections.abc import Mapping
from functools import partial

from k8gentai.agents.contract.error_codes import is_model_error
from k8gentai.agents.contract.events import TurnEnd, TurnFailed
from k8gentai.workers.attempt.given_up import GivenUp
from k8gentai.workers.attempt.journal import Failure, done_tools
from k8gentai.workers.queue.attempts import Attempts, Lease
from k8gentai.workers.queue.connection import until_back
from k8gentai.workers.queue.stored import FAILURE, GIVEN_UP, RETRIED


async def tried_anew(attempts: Attempts, lease: Lease, failed: str, recorded: Mapping[str, str]) -> dict[str, str]:
    """Return the journal without what may have failed the turn. What that is, the first attempt decides for all:
    what it does itself changes nothing of it.

    Args:
        attempts: knows how the turn ended.
        lease: of the attempt.
        failed: the failed turn.
        recorded: its journal, with what the turn at hand has added.

    Raises:
        FencedError: the attempt lost its turn.
    """
    note = RETRIED + lease.turn_id
    decided = recorded.get(note)
    if decided is None:
        end = await until_back(partial(attempts.end_of, failed))
        decided = json.dumps(left_out(recorded, lease.turn_id, end if isinstance(end, TurnEnd) else None))
        await until_back(partial(attempts.record, lease, note, decided))
    keys = frozenset(json.loads(decided))
    return {key: value for key, value in recorded.items() if key not in keys}


def left_out(recorded: Mapping[str, str], turn_id: str, end: TurnEnd | None) -> list[str]:
    """Return the keys of what may have failed a turn: a model whose failure did is asked again, and what the agent
    gave up last may take longer.

    Args:
        recorded: its journal.
        turn_id: the turn that tries it anew, whose own entries are not among them.
        end: how it ended, if that is known.
    """
    failures = _last(recorded, FAILURE, Failure, turn_id)
    if isinstance(end, TurnFailed) and not is_model_error(end.code):
        failures = {} if all(each.cause not in end.message for each in failures.values()) else failures
    return [*failures, *_last(recorded, GIVEN_UP, GivenUp, turn_id)]


def _last[T: (Failure, GivenUp)](
    recorded: Mapping[str, str], kind: str, form: type[T], turn_id: str
) -> dict[str, T]:
    """Return the entries of a kind, of other turns than one, that no tool came to its end after: from those the
    agent had not gone on."""
    done = len(done_tools(recorded))
    entries = {
        key: form.model_validate_json(value) for key, value in recorded.items() if key.startswith(kind) and value
    }
    return {key: each for key, each in entries.items() if each.turn_id != turn_id and each.tools_done >= done}
