"""Embeddings of a model that knows which of a few words mean the same
(https://platform.openai.com/docs/api-reference/embeddings)."""

import re
from typing import Any

MODEL = "scripted-embedding"
MEANINGS = (("dog", "dogs", "pet"), ("money", "paid", "refund"), ("water", "rain"))
"""Words of one meaning; each has a place in the vectors."""
DIMENSION = len(MEANINGS) + 1
"""The last place is that of any other word."""


def embeddings(body: dict[str, Any]) -> dict[str, Any] | None:
    """Return the answer to a request; none where it is refused: for another model, or where it says how long the
    vectors are to be, as endpoints do whose model knows one length only.
    """
    if body["model"] != MODEL or "dimensions" in body:
        return None
    texts = [body["input"]] if isinstance(body["input"], str) else body["input"]
    data = [{"object": "embedding", "index": at, "embedding": _vector(text)} for at, text in enumerate(texts)]
    usage = {"prompt_tokens": len(texts), "total_tokens": len(texts)}
    return {"object": "list", "data": data, "model": MODEL, "usage": usage}


def _vector(text: str) -> list[float]:
    words = re.findall(r"\w+", text.lower())
    return [*(float(sum(word in meaning for word in words)) for meaning in MEANINGS), 0.1]
