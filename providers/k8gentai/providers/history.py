"""The items a turn's agent sees before its input: its conversation's, or those of the response it continues."""

from typing import Any

import structlog

from k8gentai.agents.turn import Item, Turn
from k8gentai.providers import host
from k8gentai.providers.conversation_items import ConversationItems
from k8gentai.providers.errors import ApiError, invalid, previous_response_not_found
from k8gentai.providers.ids import belongs_to, item_id
from k8gentai.providers.resource import usable
from k8gentai.providers.store import ResponseStore, StoredResponse
from k8gentai.workers.record import ENDED, AcceptedTurn, TurnRecord
from k8gentai.workers.turns import TurnDeletedError, TurnNotFoundError, Turns

log = structlog.get_logger(__name__)

_JOINING = frozenset({"completed", "incomplete"})


class Histories:
    """Reads and extends histories, as the current caller.

    Args:
        turns: turns in Redis.
        store: finished responses.
        items: those of conversations.
        access: the host's policy.
    """

    def __init__(self, turns: Turns, store: ResponseStore, items: ConversationItems, access: Any) -> None:
        self._turns = turns
        self._store = store
        self._items = items
        self._access = access

    async def before(self, accepted: AcceptedTurn) -> list[Item]:
        """What stands before a turn now, oldest first.

        Raises:
            ApiError: the conversation or the previous response is not there or not usable.
        """
        if accepted.turn.conversation:
            return await self._of_conversation(accepted.turn.conversation)
        if accepted.previous_response_id:
            previous = await self._previous(accepted.previous_response_id)
            return [*previous.history, *previous.input, *usable(previous.response["output"])]
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
        """Add an ended turn's input and output to its conversation, as often as one likes.

        A turn that did not end well joins nothing, nor does one whose conversation was deleted meanwhile.

        Args:
            record: the turn.
            response: as it ended.
        """
        conversation = record.turn.conversation
        if conversation is None or response["status"] not in _JOINING:
            return
        try:
            await self._add(conversation, record.turn, response)
        except host.ConversationNotFoundError:
            log.warning("conversation_gone", turn=record.turn.id, conversation=conversation)

    async def _add(self, conversation: str, turn: Turn, response: dict[str, Any]) -> None:
        items = [
            # The host's items are unique by id across all conversations: an id that a client chose could
            # take an item out of somebody else's.
            item if belongs_to(turn.id, item["id"]) else {**item, "id": item_id(turn.id, index, item["type"])}
            for index, item in enumerate(turn.input)
        ] + usable(response["output"])
        await self._items.join(conversation, items, turn.id)

    async def _of_conversation(self, conversation: str) -> list[Item]:
        await self.check_conversation(conversation)
        items = await self._items.all(conversation)
        return [item.model_dump(mode="json", exclude_none=True) for item in items]

    async def _previous(self, response_id: str) -> StoredResponse:
        try:
            record = await self._turns.get(response_id)
        except TurnDeletedError:
            raise previous_response_not_found(response_id) from None
        except TurnNotFoundError:
            stored = await self._store.get(response_id)
        else:
            if not self._access.allows("read", response_id, record.owner) or not record.store:
                raise previous_response_not_found(response_id)
            if record.status not in ENDED:
                raise invalid(
                    f"Response '{response_id}' has not ended yet (it is {record.status}).",
                    "previous_response_id",
                    "previous_response_not_ended",
                )
            events = [event for _, event in await self._turns.events(response_id)]
            stored = StoredResponse.of(record, events)
        if stored is None:
            raise previous_response_not_found(response_id)
        return stored
