"""Places tool calls in the journal: what runs makes a call, not the id that it is given.

A model's call is the first run of its id, with whatever code adds to the arguments. Code that runs a tool again
under that id (further pages, a mended try, the same once more) makes another call, and so does code that makes
several calls under one id without a model. A run that stopped before its end, as to ask a person, or that failed,
is the same call when it begins anew.
"""

from collections import Counter, defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from k8gentai.workers.attempt.inside import Inside
from k8gentai.workers.attempt.journal import Journal
from k8gentai.workers.attempt.journal_entries import ToolEntry
from k8gentai.workers.queue.record import seen_digest

_RUN = "~"
"""Stands before the number of a further run of a call: frameworks number calls in other ways."""
_DIGEST_LETTERS = 16
"""The number of letters of a digest by which calls of one id are told apart."""


@dataclass(frozen=True)
class CallPlace:
    """A call's place in the turn."""

    call_id: str
    """The id that it is shown, approved and counted by: the given one for the first run of it."""
    key: str
    """The id that the journal has it by: the same, unless that is another call there."""
    asked: str | None
    """A digest of what the model or the agent's code wrote; None where the id itself holds it."""
    ran: str
    """A digest of the tool's name and of the arguments that it runs with."""
    entry: ToolEntry | None
    """The journal's entry of the call; None where it has none."""
    first_key: str = ""
    """The key of the first run of the same call in this attempt; empty where this is the first."""
    inside: Inside | None = None
    """The calls and tokens of its earlier run in this attempt, where it begins anew."""
    is_left: bool = False
    """Whether the agent stopped waiting for it in this attempt after its tool had begun."""
    has_ended: bool = False
    """Whether it came to its end in this attempt, and its framework comes to it once more."""

    def record(self, **fields: Any) -> ToolEntry:
        """Return what is to be recorded of the call.

        Args:
            fields: the fields of :class:`k8gentai.workers.attempt.journal_entries.ToolEntry`.
        """
        return ToolEntry(asked=self.asked, ran=self.ran, scoped=self.is_scoped, **fields)

    @property
    def is_scoped(self) -> bool:
        """Whether model calls made inside it are known by it: not where an earlier version began it."""
        return self.entry is None or self.entry.scoped

    @property
    def is_passed(self) -> bool:
        """Whether nobody is to be asked about it any more: it is done, or it was begun with these arguments."""
        return self.entry is not None and (self.entry.state == "done" or self.entry.ran in (None, self.ran))


class CallPlaces:
    """The places of one attempt's calls.

    Args:
        journal: knows what earlier attempts ran.
        written: the arguments as the model wrote them, by the ids of its calls.
    """

    def __init__(self, journal: Journal, written: Mapping[str, str]) -> None:
        self._journal = journal
        self._written = written
        self._first: dict[str, str] = {}
        """Digests of the first runs, by the ids as they are given."""
        self._runs: Counter[tuple[str, str]] = Counter()
        """The number of times that each call was begun, by the key of its first run and by what it runs with."""
        self._stopped: defaultdict[tuple[str, str], list[CallPlace]] = defaultdict(list)
        """The runs that stopped before their ends, by the same."""
        self._ended: dict[str, ToolEntry] = {}
        """The entries of the runs that ended in this attempt, by their keys."""

    def find(self, given_id: str, name: str, arguments: str) -> CallPlace:
        """Return the place of a call that is about to run.

        Args:
            given_id: the call's id as the agent has it.
            name: the tool.
            arguments: JSON text, what the tool runs with.
        """
        place = self._of_call(given_id, name, arguments)
        if stopped := self._stopped[place.key, place.ran]:
            return stopped.pop(0)
        number = self._runs[place.key, place.ran]
        self._runs[place.key, place.ran] += 1
        if not number:
            return self._ended_or(place)
        key = f"{place.key}{_RUN}{number + 1}"
        entry = self._journal.tool(key)
        if entry is None and place.entry is not None and place.entry.inside is None:
            # An older version, which began it, had all its runs in one place.
            return place
        return self._ended_or(replace(place, call_id=key, key=key, entry=entry, first_key=place.key))

    def stop(
        self, place: CallPlace, inside: Inside | None, *, is_left: bool, kept: ToolEntry | None = None
    ) -> None:
        """Note that a run came to nothing: it is the same call that begins next.

        Args:
            place: the run's.
            inside: the calls and tokens inside it; None where it did not begin.
            is_left: whether the agent stopped waiting for it after its tool had begun.
            kept: what its tool came to by then; None where that is not recorded.
        """
        stopped = replace(place, inside=inside, is_left=is_left, entry=kept or place.entry)
        self._stopped[place.first_key or place.key, place.ran].append(stopped)

    def end(self, place: CallPlace, entry: ToolEntry) -> None:
        """Note what a run came to."""
        self._ended[place.key] = entry

    def begin_anew(self) -> None:
        """Note that a framework goes on with code that it had begun, from its beginning: that comes once more to
        the calls that it made."""
        self._runs.clear()
        self._stopped.clear()

    def _ended_or(self, place: CallPlace) -> CallPlace:
        entry = self._ended.get(place.key)
        return place if entry is None else replace(place, entry=entry, has_ended=True)

    def _of_call(self, given_id: str, name: str, arguments: str) -> CallPlace:
        """Return the place of the first run of a call."""
        ran = seen_digest(name, arguments)
        first = self._of_first(given_id, name, ran)
        recorded = first.entry.ran if first.entry is not None else None
        if ran in (recorded, self._first.setdefault(given_id, self._first_run(given_id, first))):
            return first
        own = _own_id(given_id, ran)
        return CallPlace(own, own, None, ran, self._journal.tool(own))

    def _of_first(self, given_id: str, name: str, ran: str) -> CallPlace:
        """Return the place of a call if it is the first run of its id.

        A model that is asked again, as its answer did not fit the journal, may write something else under the id
        of a call that was made. That is another call, which nobody approved and which has not run.
        """
        written = self._written.get(given_id)
        asked = ran if written is None else seen_digest(name, written)
        entry = self._journal.tool(given_id)
        if written is None or entry is None or entry.ran == ran or entry.is_about(asked):
            return CallPlace(given_id, given_id, asked, ran, entry)
        key = _own_id(given_id, asked)
        return CallPlace(given_id, key, asked, ran, self._journal.tool(key))

    def _first_run(self, given_id: str, place: CallPlace) -> str:
        """Return the digest of the first run of an id: of what is recorded of it, if the call at hand is another.

        Code that changes what the model wrote may write another thing whenever it runs, as the time.
        """
        if place.entry is None:
            return place.ran
        is_models = given_id in self._written
        recorded = place.entry.ran or (None if is_models else place.entry.asked)
        if recorded in (None, place.ran):
            return place.ran
        came_later = self._journal.tool(_own_id(given_id, place.ran)) is not None
        is_varied = is_models and recorded != place.asked and not came_later
        return place.ran if is_varied else recorded


def _own_id(call_id: str, digest: str) -> str:
    return f"{call_id}-{digest[:_DIGEST_LETTERS]}"
