"""``python -m k8gentai.stack.conformance.scripted PORT``: the default answers only, in a process of their own."""

import sys

import uvicorn

from k8gentai.stack.conformance.scripted.app import ScriptedApp

uvicorn.run(
    ScriptedApp(record=False),
    host="127.0.0.1",
    port=int(sys.argv[1]),
    log_level="warning",
    lifespan="off",
    backlog=512,
)
