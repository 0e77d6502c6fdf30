"""Keeps what a tool changes in the context of its agent, beside what it returns: a call that is answered from the
turn's record changes the same again, though its tool does not run.

Kept are the context's variables, its prompt, and the messages that are put into its inbox. Of calls that ran at
the same time the change counts that was made last, in whatever order their answers come again.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import wraps
from typing import Any

import structlog
from ag2.context import ConversationContext
from ag2.events import Input

from k8gentai.agents.adapters.base.kept_results import read_result, round_trip, write_result

_ORDER, _SET, _REMOVED, _PROMPT, _ENQUEUED = "order", "set", "removed", "prompt", "enqueued"
"""Keys of what is kept of a call's changes."""

Kept = dict[str, Any]
"""The changes of a call, as JSON has them."""


class ContextChanges:
    """The changes in the contexts of one attempt's agents.

    Args:
        log: is told of what cannot be kept or read.
    """

    def __init__(self, log: structlog.stdlib.BoundLogger) -> None:
        self._log = log
        self._last = 0
        self._orders: dict[int, tuple[object, dict[Any, int]]] = {}
        """The numbers of the last change to each variable or part of a prompt, beside the object that holds them,
        by that object's identity."""

    @contextmanager
    def watch(self, context: ConversationContext | None, tool: str) -> Iterator[Callable[[], Kept | None]]:
        """While inside, a tool runs.

        Args:
            context: the context of the tool's agent; None where the tool has none.
            tool: the tool's name.

        Yields:
            What returns its changes so far; None where there are none.
        """
        if context is None:
            yield lambda: None
            return
        watch = _Watch(context, tool, current_watch.get())
        token = current_watch.set(watch)
        try:
            yield lambda: self._kept(watch)
        finally:
            watch.is_open = False
            current_watch.reset(token)

    def apply(self, context: ConversationContext | None, kept: Kept | None) -> None:
        """Make the changes of a call again.

        Args:
            context: the agent's.
            kept: the changes as :meth:`watch` yielded them.
        """
        if context is None or not kept:
            return
        order = kept[_ORDER]
        self._last = max(self._last, order)
        for written, value in kept.get(_SET, ()):
            name, value = self._read(written), self._read(value)
            if name is not _UNREAD and value is not _UNREAD and self._is_last(context.variables, name, order):
                context.variables[name] = value
        for written in kept.get(_REMOVED, ()):
            if (name := self._read(written)) is not _UNREAD and self._is_last(context.variables, name, order):
                context.variables.pop(name, None)
        if _PROMPT in kept and self._is_last(context.prompt, None, order):
            context.prompt[:] = kept[_PROMPT]
        for written in kept.get(_ENQUEUED, ()):
            if (content := self._read(written)) is not _UNREAD:
                context.enqueue(*content)

    def _kept(self, watch: "_Watch") -> Kept | None:
        variables, order = watch.context.variables, self._last + 1
        kept: Kept = {}
        for name, text in watch.changed().items():
            if text is None:
                self._log.warning("variable_not_kept", tool=watch.tool, variable=str(name))
            else:
                kept.setdefault(_SET, []).append([write_result(name), text])
                self._is_last(variables, name, order)
        for name in watch.removed():
            kept.setdefault(_REMOVED, []).append(write_result(name))
            self._is_last(variables, name, order)
        if watch.context.prompt != watch.prompt:
            kept[_PROMPT] = list(watch.context.prompt)
            self._is_last(watch.context.prompt, None, order)
        for content in watch.enqueued:
            if (text := round_trip(content, _written_inputs, _read_inputs)) is None:
                self._log.warning("message_not_kept", tool=watch.tool)
            else:
                kept.setdefault(_ENQUEUED, []).append(text)
        if not kept:
            return None
        self._last = order
        return {_ORDER: order, **kept}

    def _read(self, text: str) -> Any:
        """Return what was written; ``_UNREAD`` where that cannot be read now."""
        try:
            return _read_inputs(text)
        except (LookupError, ValueError) as error:
            self._log.warning("variable_not_kept", error=str(error))
            return _UNREAD

    def _is_last(self, changed: object, name: object, order: int) -> bool:
        """Note a change. Returns whether none of what it changes was made after it.

        Args:
            changed: the variables or the prompt.
            name: the variable, or the part of a prompt.
            order: the change's.
        """
        _, known = self._orders.setdefault(id(changed), (changed, {}))
        if known.get(name, 0) > order:
            return False
        known[name] = order
        return True


class _Watch:
    """Watches how a context changes while a tool runs.

    Args:
        context: the context.
        tool: the tool's name.
        around: the watch of the tool inside which it runs.
    """

    def __init__(self, context: ConversationContext, tool: str, around: "_Watch | None") -> None:
        self.context = context
        self.tool = tool
        self.is_open = True
        self.prompt = list(context.prompt)
        self.enqueued: list[tuple[Any, ...]] = []
        """The messages that the tool puts into the context's inbox."""
        self._around = around
        self._before = {name: (value, _written(value)) for name, value in context.variables.items()}

    def changed(self) -> dict[Any, str | None]:
        """Return the variables that are new or others, by their names, as text; None for what cannot be kept."""
        changed = {}
        for name, value in self.context.variables.items():
            before, text = self._before.get(name, (_UNREAD, None))
            now = _written(value)
            if now != text or (now is None and value is not before):
                changed[name] = round_trip(value, write_result, read_result)
        return changed

    def removed(self) -> list[Any]:
        """Return the names of the variables that are not there any more."""
        return [name for name in self._before if name not in self.context.variables]

    def enqueue(self, context: ConversationContext, content: tuple[Any, ...]) -> None:
        """Note what code puts into an inbox, for this tool and those around it."""
        if self.is_open and context.pending_messages is self.context.pending_messages:
            self.enqueued.append(content)
        if self._around is not None:
            self._around.enqueue(context, content)


current_watch: ContextVar[_Watch | None] = ContextVar("current_watch", default=None)
"""The watch of the tool that the code at hand works for; None where it works for none."""

_UNREAD = object()


def follow_inboxes() -> None:
    """Have what tools put into inboxes noted. Call once."""
    enqueue = ConversationContext.enqueue

    @wraps(enqueue)
    def enqueued(self: ConversationContext, *content: Any) -> None:
        if content and (watch := current_watch.get()) is not None:
            watch.enqueue(self, content)
        enqueue(self, *content)

    ConversationContext.enqueue = enqueued


def _written(value: object) -> str | None:
    """Return a value as text, to tell whether it changes; None where it has none."""
    try:
        return write_result(value)
    except Exception:  # noqa: BLE001 - objects of an agent's own, which may fail by whatever is done with them
        return None


def _written_inputs(value: object) -> str:
    return write_result(value, (Input,))


def _read_inputs(text: str) -> Any:
    return read_result(text, (Input,))
