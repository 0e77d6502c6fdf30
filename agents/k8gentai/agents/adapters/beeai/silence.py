"""Switches off what BeeAI and LiteLLM do beside running agents.

Importing this imports both, so it comes before whatever else does.
"""

import os

_SETTINGS = {
    # Else LiteLLM reads a .env file into the worker's environment.
    "LITELLM_MODE": "PRODUCTION",
    # Else it fetches a price list from the network.
    "LITELLM_LOCAL_MODEL_COST_MAP": "True",
    # BeeAI's loggers write to standard output what its errors say again.
    "BEEAI_LOG_LEVEL": "CRITICAL",
}
"""Read when they are imported. Who sets one of them has reasons."""

for _name, _value in _SETTINGS.items():
    os.environ.setdefault(_name, _value)
# BeeAI's own name for the address of models would lead past the worker's gateway, which OPENAI_BASE_URL names.
os.environ.pop("OPENAI_API_BASE", None)

import beeai_framework.adapters.litellm.chat  # noqa: E402, F401
import openai.resources  # noqa: E402, F401 - a first turn would wait for it
