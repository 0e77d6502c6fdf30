"""A proxy in front of Redis that makes one fault, at one command."""

import asyncio

from k8gentai.stack.drill.proxy import RedisProxy, Route


class Aimed(RedisProxy):
    """Makes one fault, at one command."""

    command = b""
    refusal: str | None = None
    """What is answered in its stead; where there is none, it is carried out and its answer is lost."""

    def _route(self, server: asyncio.StreamWriter, client: asyncio.StreamWriter) -> Route:
        passing = super()._route(server, client)

        def route(data: bytes) -> tuple[asyncio.StreamWriter, bytes]:
            if not self.command or self.command not in data:
                return passing(data)
            self.command = b""
            if self.refusal is None:
                client.transport.abort()
                return passing(data)
            with self.refusing(self.refusal):
                return passing(data)

        return route
