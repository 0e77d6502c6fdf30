"""Who says who a caller is: an endpoint for Llama Stack's ``custom`` authentication."""

import socket
import threading
from typing import Any

import uvicorn
from fastapi import FastAPI


class Authority:
    """Takes every key for its holder's name. Runs on a free loopback port."""

    def __init__(self) -> None:
        app = FastAPI()

        @app.post("/")
        async def validate(asked: dict[str, Any]) -> dict[str, Any]:
            return {"principal": asked["api_key"], "attributes": {"teams": [asked["api_key"]]}}

        self._socket = socket.create_server(("127.0.0.1", 0))
        self._server = uvicorn.Server(uvicorn.Config(app, log_config=None))
        self._thread = threading.Thread(target=self._server.run, kwargs={"sockets": [self._socket]})

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._socket.getsockname()[1]}/"

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._server.should_exit = True
        self._thread.join(10)
        self._socket.close()
