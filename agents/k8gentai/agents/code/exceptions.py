"""Exceptions of agents' code that end more than what raised them, and the ordinary exception that stands for them.

asyncio lets ``SystemExit`` and ``KeyboardInterrupt`` out of its loop, takes ``CancelledError`` for a cancellation,
and has no future for ``StopIteration``; ``GeneratorExit`` out of a future closes the coroutines that wait for it.
"""

import asyncio

from k8gentai.agents.text.utf8 import message_of


class AgentExitError(Exception):
    """Agents' code wanted to end more than itself. The cause is what it raised."""


_OF_COROUTINES = (SystemExit, KeyboardInterrupt, GeneratorExit)
_OF_THREADS = (*_OF_COROUTINES, StopIteration, asyncio.CancelledError)


def contained(error: BaseException) -> BaseException:
    """Return what stands for an error of a coroutine; the error itself where that is ordinary."""
    return _stand_in(error) if isinstance(error, _OF_COROUTINES) else error


def contained_in_thread(error: BaseException) -> BaseException:
    """Return what stands for an error of a blocking function, in whose thread nobody cancels anything."""
    return _stand_in(error) if isinstance(error, _OF_THREADS) else error


def raised(error: BaseException) -> BaseException:
    """Return what agents' code raised, where the error stands for it."""
    return error.__cause__ or error if isinstance(error, AgentExitError) else error


def words_of(error: BaseException) -> str:
    """Return the type of what agents' code raised, and its message where it has one."""
    cause = raised(error)
    words = message_of(cause)
    return f"{type(cause).__name__}: {words}" if words else type(cause).__name__


def _stand_in(error: BaseException) -> AgentExitError:
    made = AgentExitError(f"{type(error).__name__}({message_of(error)})")
    made.__cause__ = error
    return made
