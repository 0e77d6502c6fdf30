"""``python -m k8gentai.stack.model PORT``: serve the embedded model on loopback."""

import sys

import uvicorn

from k8gentai.stack.model.server import create_app

uvicorn.run(create_app(), host="127.0.0.1", port=int(sys.argv[1]), log_level="warning")
