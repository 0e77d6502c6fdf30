"""Pads stream events, so that their sizes on the wire say nothing of the text in them.

Source: https://platform.openai.com/docs/api-reference/responses/create#responses_create-stream_options
"""

import json
import secrets
import string
from collections.abc import AsyncIterator

from k8gentai.providers.rendering.render import StreamEvent

_BLOCK = 64
"""The JSON of each padded event has a multiple of so many characters."""


async def obfuscated(events: AsyncIterator[StreamEvent]) -> AsyncIterator[StreamEvent]:
    """Yield a response's stream events, the deltas among them with a field ``obfuscation``."""
    async for event in events:
        yield {**event, "obfuscation": _padding(event)} if event["type"].endswith(".delta") else event


def _padding(event: StreamEvent) -> str:
    length = len(json.dumps({**event, "obfuscation": ""}))
    return "".join(secrets.choice(string.ascii_letters) for _ in range(-length % _BLOCK))
