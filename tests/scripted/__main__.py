"""``python -m tests.scripted PORT``: the default answers only, in a process of their own (for the bench)."""

import sys

import uvicorn

from tests.scripted.app import ScriptedApp

uvicorn.run(
    ScriptedApp(record=False),
    host="127.0.0.1",
    port=int(sys.argv[1]),
    log_level="warning",
    lifespan="off",
    backlog=512,
)
