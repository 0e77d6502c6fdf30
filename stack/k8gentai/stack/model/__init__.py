"""The embedded model: SmolLM2-135M-Instruct behind an OpenAI-compatible API, for a first try without a key,
a download or a GPU. It is tiny: it picks a tool and words a sentence, and little more."""

NAME = "smollm2-135m-instruct"

DESCRIPTION = (
    "SmolLM2-135M-Instruct (Apache-2.0), a tiny model for a first try. It calls at most one tool at a time, "
    "sees the last question only when tools are offered, and its prose is weak."
)
