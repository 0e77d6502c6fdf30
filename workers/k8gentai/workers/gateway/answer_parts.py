"""Finds the choices, words and tool calls in what endpoints send, and the parts that nobody can read."""

from typing import Any

Chunk = dict[str, Any]
"""A chunk of an answer, or an answer in one piece."""
LARGEST = 2**53
"""The largest whole number that every reader of JSON takes."""
LEGACY_CALL = "function_call"
"""The field of an answer's one call, and the finish reason, in the API before there were tools."""


def sent_choices(sent: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the choices of a chunk or a completion; an object in place of the list is the only one."""
    return _objects(sent.get("choices"))


def sent_calls(said: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the tool calls, or pieces of them, in a delta or message; an object in place of the list is the only
    one.
    """
    calls = _objects(said.get("tool_calls"))
    legacy = said.get(LEGACY_CALL)
    return calls or ([{"function": legacy}] if legacy and isinstance(legacy, dict) else [])


def sent_message(choice: dict[str, Any], name: str) -> dict[str, Any]:
    """Return a choice's delta or message, by this name; where there is none, its text, as the API of completions
    without a chat has it.
    """
    said = choice.get(name)
    if isinstance(said, dict):
        return said
    text = choice.get("text")
    return {"content": text} if isinstance(text, str) and text else {}


class SentDeltas:
    """Reads the chunks of an answer: each adds something to its choices."""

    def __init__(self) -> None:
        self._spoken: set[int] = set()
        """The indexes of the choices that a delta has come of."""
        self._called: set[int] = set()
        """The indexes of the choices that a tool call has come of."""

    def read(self, choice: dict[str, Any]) -> dict[str, Any]:
        """Return what a chunk adds to a choice: its delta, or the message in its place, as proxies send it that
        wrap whole answers. A message behind deltas is what they came to, once more, but for calls that only it
        holds.
        """
        index = choice_index(choice)
        delta, message = (sent_message(choice, name) for name in ("delta", "message"))
        if _says_anything(delta):
            self._spoken.add(index)
        added = delta if index in self._spoken else message or delta
        if index not in self._called:
            added = _with_calls(added, message)
        if sent_calls(added):
            self._called.add(index)
        return added


def whole_message(choice: dict[str, Any]) -> dict[str, Any]:
    """Return what a choice of an answer in one piece says: its message, or the delta in its place, and the calls
    of either.
    """
    message, delta = (sent_message(choice, name) for name in ("message", "delta"))
    return _with_calls(message if _says_anything(message) else delta or message, delta)


def _with_calls(said: dict[str, Any], other: dict[str, Any]) -> dict[str, Any]:
    """Return what is said in one place, with the calls in another where it has none."""
    return said if sent_calls(said) or not (calls := sent_calls(other)) else {**said, "tool_calls": calls}


def choice_index(choice: dict[str, Any]) -> int:
    """Return the index of a choice in a chunk: some endpoints leave it out."""
    index = choice.get("index")
    return index if isinstance(index, int) else 0


def says_anything(sent: dict[str, Any]) -> bool:
    """Return whether a chunk or completion holds more than the beginning or the end of an answer."""
    parts = [sent_message(choice, name) for choice in sent_choices(sent) for name in ("delta", "message")]
    return any(_says_anything(part) for part in parts)


def _says_anything(part: dict[str, Any]) -> bool:
    return any(value for name, value in part.items() if name != "role")


def usable_logprobs(sent: Any) -> dict[str, Any] | None:
    """Return the log probabilities of a choice; None where any of them has another type than the API's: the answer
    is the same without them.
    """
    if not isinstance(sent, dict):
        return None
    parts = [sent.get(name) or [] for name in ("content", "refusal")]
    usable = all(isinstance(part, list) and all(_is_token(token) for token in part) for part in parts)
    return sent if usable else None


def _is_token(sent: Any, *, with_others: bool = True) -> bool:
    if not isinstance(sent, dict) or not isinstance(sent.get("token"), str):
        return False
    number, written, others = (sent.get(name) for name in ("logprob", "bytes", "top_logprobs"))
    if isinstance(number, bool) or not isinstance(number, int | float):
        return False
    if written is not None and not (isinstance(written, list) and all(type(byte) is int for byte in written)):
        return False
    if not with_others or not others:
        return True
    return isinstance(others, list) and all(_is_token(other, with_others=False) for other in others)


def unreadable_part(sent: dict[str, Any]) -> str | None:
    """Name the part of a chunk or completion that is of another type than the API's, and is not empty. Without it
    the answer would be another one.
    """
    return next((name for name, part, kinds in _parts(sent) if part and not isinstance(part, kinds)), None)


def _parts(sent: dict[str, Any]) -> list[tuple[str, Any, type | tuple[type, ...]]]:
    """Return the parts that others are in: name, value, and the types of those that can be read."""
    choices = sent.get("choices")
    parts: list[tuple[str, Any, type | tuple[type, ...]]] = [("choices", choices, (dict, list))]
    parts += [("choices", each, dict) for each in _listed(choices)]
    for choice in sent_choices(sent):
        # A message beside a delta is what deltas came to, or nothing of the API's.
        name = "delta" if choice.get("delta") else "message"
        parts.append((name, choice.get(name), dict))
        said = sent_message(choice, name)
        calls = said.get("tool_calls")
        parts += [("tool_calls", calls, (dict, list)), (LEGACY_CALL, said.get(LEGACY_CALL), dict)]
        parts += [("tool_calls", each, dict) for each in _listed(calls)]
        parts += [("function", call.get("function"), dict) for call in sent_calls(said)]
    return parts


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _objects(value: Any) -> list[dict[str, Any]]:
    listed = [value] if value and isinstance(value, dict) else _listed(value)
    return [each for each in listed if isinstance(each, dict)]


def answer_head(sent: Chunk) -> Chunk:
    """Return what is the same in all chunks of an answer, as far as it is there, in the types of the API."""
    named = {name: sent.get(name) for name in ("id", "model")}
    texts = {name: str(value) for name, value in named.items() if value and isinstance(value, str | int)}
    created = sent.get("created")
    if isinstance(created, int | float) and 0 < created <= LARGEST:
        return {**texts, "created": int(created)}
    return texts
