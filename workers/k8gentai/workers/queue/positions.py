"""The positions of items in their conversations."""

from redis.asyncio import Redis

from k8gentai.workers.queue.scripts import prepared


class Positions:
    """Counts the items of each conversation in Redis, so that all servers agree on their order.

    Args:
        redis: a client from :func:`k8gentai.workers.queue.connection.connect`.
        keep_seconds: the seconds for which the count of a conversation in which nothing happens is kept.
    """

    def __init__(self, redis: Redis, *, keep_seconds: int = 86_400) -> None:
        self._keep_seconds = keep_seconds
        self._place = prepared(redis, "place")

    async def place(self, conversation: str, count: int, *, least: int, turn_id: str = "") -> int:
        """Reserve positions after all that were reserved before.

        Args:
            conversation: the conversation that the items are in.
            count: the number of items that follow one another.
            least: the first may not be below it: what the stored items need, should Redis have forgotten.
            turn_id: the turn whose items they are; it gets the same positions each time.

        Returns:
            The first position.
        """
        placed = await self._place(
            conversation=conversation, turn=turn_id, count=count, least=least, keep=self._keep_seconds
        )
        return int(placed)
