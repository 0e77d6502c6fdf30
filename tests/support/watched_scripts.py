"""Watches what the queue's scripts really do to a Redis, one call after another."""

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from unittest.mock import patch

import redis
from redis.commands.core import AsyncScript, Script

from k8gentai.workers.queue import keys
from k8gentai.workers.queue.scripts import script
from tests.support import lua_scripts
from tests.support.queue_readme import declared_keys

Kept = dict[str, Any]
"""What stands in Redis, by key: a dictionary where it is a hash."""


class WatchedScripts:
    """The scripts, each with what it changed.

    Args:
        client: of the Redis.
    """

    def __init__(self, client: redis.Redis) -> None:
        # redis-py types a reply as all that any of its modes gives; ours gives bytes.
        self._client: Any = client
        self._names: dict[Any, str] = {script(name): name for name in lua_scripts.names()}
        self.keys: set[tuple[str, str]] = set()
        """The name of each script, and that of each key it changed."""
        self.fields: set[tuple[str, str, str]] = set()
        """The same of the fields of hashes."""
        self.moves: set[tuple[str | None, str, str]] = set()
        """The state that a turn had, the script, and the state that it has then; not of turns that tool calls
        asked for, which end with other turns too."""

    @contextmanager
    def watching(self) -> Iterator[None]:
        """Watch all calls, those of clients in threads too."""
        run, run_async = Script.__call__, AsyncScript.__call__

        def watched(called: Script, *args: Any, **named: Any) -> Any:
            before = self.kept()
            try:
                return run(called, *args, **named)
            finally:
                self._compare(self._names[called.script], before, self.kept())

        async def watched_async(called: AsyncScript, *args: Any, **named: Any) -> Any:
            before = self.kept()
            try:
                return await run_async(called, *args, **named)
            finally:
                self._compare(self._names[called.script], before, self.kept())

        with patch.object(Script, "__call__", watched), patch.object(AsyncScript, "__call__", watched_async):
            yield

    def kept(self) -> Kept:
        """Return all that stands in Redis."""
        found: Kept = {}
        for key in self._client.scan_iter():
            is_hash = self._client.type(key) == b"hash"
            found[key.decode()] = self._hash(key) if is_hash else self._client.dump(key)
        return found

    def _hash(self, key: bytes) -> dict[str, str]:
        return {name.decode(): value.decode(errors="replace") for name, value in self._client.hgetall(key).items()}

    def _compare(self, script: str, before: Kept, after: Kept) -> None:
        for key in before.keys() | after.keys():
            was, now = before.get(key), after.get(key)
            if was == now:
                continue
            name = name_of(key)
            self.keys.add((script, name))
            if isinstance(now, dict):
                was = was or {}
                changed = [field for field in was.keys() | now.keys() if was.get(field) != now.get(field)]
                self.fields.update((script, name, field) for field in changed)
                if name == "turn" and "status" in changed:
                    self._moved(script, was, now)

    def _moved(self, script: str, was: dict[str, str], now: dict[str, str]) -> None:
        if json.loads(now["accepted"])["parent"] is None:
            self.moves.add((was.get("status"), script, now["status"]))


def name_of(key: str) -> str:
    """Return the name of a key in :mod:`k8gentai.workers.queue.keys`, in lower case.

    Raises:
        LookupError: none of the declared keys is like it.
    """
    like = [(len(form.pattern), name) for name, form in _FORMS.items() if form.fullmatch(key)]
    if not like:
        raise LookupError(f"{key} is not declared in queue/keys.py")
    return max(like)[1]


def _form(pattern: str) -> re.Pattern[str]:
    """Return what a key looks like. Ids are ours, and have no colon."""
    varying = {part: "[^:]+" if part == "{id}" else ".*" for part in re.findall(r"\{\w+\}", pattern)}
    return re.compile("".join(varying.get(part, re.escape(part)) for part in re.split(r"(\{\w+\})", pattern)))


_FORMS = {name: _form(key.pattern) for name, key in declared_keys().items() if keys.is_key(key.pattern)}
"""What each key looks like. Of two that one may be like, the longer form is the key's."""
