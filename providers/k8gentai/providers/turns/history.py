"""The items a turn's agent sees before its input: its conversation's, or those of the response it continues."""

from typing import Any

import structlog

from k8gentai.agents.contract.turn import Item
from k8gentai.providers import host
from k8gentai.providers.errors import ApiError, invalid, previous_response_not_found
from k8gentai.providers.host.access import acting_as
from k8gentai.providers.host.storage import STORAGE_AWAY
from k8gentai.providers.rendering.response_object import joined, joins, usable
from k8gentai.providers.turns.chains import ChainBrokenError
from k8gentai.providers.turns.conversation_items import ConversationItems
from k8gentai.providers.turns.store import ResponseStore, StoredResponse
from k8gentai.workers.queue.connection import AWAY
from k8gentai.workers.queue.record import ENDED, AcceptedTurn, TurnRecord
from k8gentai.workers.queue.turns import TurnDeletedError, TurnNotFoundError, Turns

log = structlog.get_logger(__name__)


class Histories:
    """Reads and extends histories, as the current caller.

    Args:
        turns: turns in Redis.
        store: finished responses.
        items: the items of conversations.
        access: the host's policy.
    """

    def __init__(self, turns: Turns, store: ResponseStore, items: ConversationItems, access: Any) -> None:
        self._turns = turns
        self._store = store
        self._items = items
        self._access = access

    async def before(self, accepted: AcceptedTurn) -> list[Item]:
        """Return what stands before a turn now, oldest first.

        Raises:
            ApiError: the conversation or the previous response is not there or not usable.
        """
        if accepted.turn.conversation:
            return await self._of_conversation(accepted.turn.conversation)
        if accepted.previous_response_id:
            return await self._with(accepted.previous_response_id, answered=accepted.replay is not None)
        return []

    async def check_conversation(self, conversation: str) -> None:
        """See that a conversation is there.

        Raises:
            ApiError: it is not (404), or this is no conversation's id (400).
        """
        try:
            await self._items.check(conversation)
        except host.InvalidParameterError:
            message = f"'conversation' must be the id of a conversation, 'conv_…'; it is '{conversation}'."
            raise invalid(message, "conversation") from None
        except host.ConversationNotFoundError:
            message = f"Conversation '{conversation}' not found. POST /v1/conversations makes one."
            raise ApiError(404, message, code="conversation_not_found", param="conversation") from None

    async def join(self, record: TurnRecord, response: dict[str, Any]) -> None:
        """Add an ended turn's input and output to its conversation, as often as one likes, behind those of the
        turns that came before it.

        A turn that did not end well joins nothing, nor does one whose conversation was deleted meanwhile.

        Args:
            record: the turn.
            response: the response as it ended.
        """
        conversation = record.turn.conversation
        if conversation is None or not joins(response):
            return
        # A turn that interrupts ends all that run and wait at once, and so they are settled at once.
        for turn_id in await self._turns.to_join_before(record.turn):
            await self._join_earlier(turn_id)
        await self._join(record, response)

    async def _join_earlier(self, turn_id: str) -> None:
        try:
            record = await self._turns.get(turn_id)
            response = (await self._ended(record)).response
            if joins(response):
                with acting_as(record.owner):
                    await self._join(record, response)
        except TurnNotFoundError:
            return
        except (*AWAY, *STORAGE_AWAY):
            raise
        except Exception:
            # One that cannot be written must not hold up the others.
            log.exception("settling_failed", turn=turn_id)

    async def _join(self, record: TurnRecord, response: dict[str, Any]) -> None:
        conversation = str(record.turn.conversation)
        items = joined(record.turn.id, record.turn.input, response["output"])
        try:
            await self._items.join(conversation, items, record.turn.id)
        except host.ConversationNotFoundError:
            log.warning("conversation_gone", turn=record.turn.id, conversation=conversation)

    async def _of_conversation(self, conversation: str) -> list[Item]:
        await self.check_conversation(conversation)
        items = await self._items.all(conversation)
        return [item.model_dump(mode="json", exclude_none=True) for item in items]

    async def _with(self, response_id: str, *, answered: bool) -> list[Item]:
        """Return the items up to and with a response's own; of an unkept one, where it is answered."""
        try:
            record = await self._turns.get(response_id)
        except TurnDeletedError:
            raise previous_response_not_found(response_id) from None
        except TurnNotFoundError:
            return await self._stored(response_id)
        if not self._access.allows("read", response_id, record.owner) or not (record.store or answered):
            raise previous_response_not_found(response_id)
        if record.status not in ENDED:
            raise invalid(
                f"Response '{response_id}' has not ended yet (it is {record.status}).",
                "previous_response_id",
                "previous_response_not_ended",
            )
        if record.settled and record.store:
            # Redis may keep its history no longer.
            return await self._stored(response_id)
        ended = await self._ended(record)
        return [*ended.history, *ended.input, *usable(ended.response["output"])]

    async def _ended(self, record: TurnRecord) -> StoredResponse:
        return StoredResponse.of(record, [event for _, event in await self._turns.events(record.turn.id)])

    async def _stored(self, response_id: str) -> list[Item]:
        try:
            items = await self._store.items(response_id)
        except ChainBrokenError as error:
            message = f"Response '{response_id}' cannot be continued: '{error}', which it continues, is gone."
            raise ApiError(404, message, code="history_not_found", param="previous_response_id") from None
        if items is None:
            raise previous_response_not_found(response_id)
        return items
