"""Who says who a caller is: an endpoint for Llama Stack's ``custom`` authentication."""

from typing import Any

from fastapi import FastAPI

from k8gentai.stack.conformance.loopback import LoopbackServer


class Authority(LoopbackServer):
    """Takes every key for its holder's name. Runs on a free loopback port."""

    def __init__(self) -> None:
        app = FastAPI()

        @app.post("/")
        async def validate(asked: dict[str, Any]) -> dict[str, Any]:
            return {"principal": asked["api_key"], "attributes": {"teams": [asked["api_key"]]}}

        super().__init__(app)

    @property
    def url(self) -> str:
        return f"{self.origin}/"
