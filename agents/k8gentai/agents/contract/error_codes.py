"""The codes that a failed response may have in the Responses API, and which of them a model's error has.

https://platform.openai.com/docs/api-reference/responses/object
"""

import re

RESPONSES_API = frozenset(
    {
        "server_error",
        "rate_limit_exceeded",
        "invalid_prompt",
        "vector_store_timeout",
        "invalid_image",
        "invalid_image_format",
        "invalid_base64_image",
        "invalid_image_url",
        "image_too_large",
        "image_too_small",
        "image_parse_error",
        "image_content_policy_violation",
        "invalid_image_mode",
        "image_file_too_large",
        "unsupported_image_media_type",
        "empty_image_file",
        "failed_to_download_image",
        "image_file_not_found",
    }
)
_OF_CHAT_COMPLETIONS = {"invalid_base64": "invalid_base64_image"}
_TOO_MANY_REQUESTS = 429
_OVERLOADED = frozenset({503, 529})
_OVERLOADED_WORDS = re.compile(r"overloaded|server_busy|engine_overloaded|no_capacity", re.IGNORECASE)
_TOO_LONG = {
    "codes": r"context_length_exceeded|exceed_context_size|context_window_exceeded",
    "OpenAI, DeepSeek, Mistral, OpenRouter, vLLM": r"maximum context",
    "OpenAI, Anthropic, Ollama, llama.cpp, LM Studio": (
        r"\bexceed(s|ed)? (the |this |its )?(model'?s |available |configured |max(imum)? )*"
        r"context (length|window|size|limit)"
    ),
    "MiniMax, and many": r"context (length|window|size|limit) (is |was |has been )?exceed(s|ed)\b",
    "OpenAI's Responses API": r"input tokens exceed the configured limit",
    "Groq, Cerebras": r"reduce the length of the (messages|prompt|input)",
    "Anthropic, Fireworks": r"prompt is too long",
    "Bedrock": r"input is too long",
    "Gemini": r"input token count .{0,40}exceeds the maximum number of tokens",
    "xAI": r"maximum prompt length is \d",
    "TGI, Together": r"`?inputs`? (tokens \+ `?max_new_tokens`? must be <=|must have less than \d+ tokens)",
    "SGLang": r"longer than the model'?s context length",
    "vLLM": r"longer than the maximum model length",
    "LM Studio": r"greater than the context length",
    "GitHub": r"prompt token count of \d+ exceeds the limit",
    "Kimi": r"exceeded model token limit",
    "Qwen": r"range of input length should be",
    "GLM": r"prompt exceeds max(imum)? length",
    "Cohere": r"number of tokens in the prompt cannot exceed",
}
"""The words in which endpoints say that a model was sent more than it takes."""
_TOO_LONG_WORDS = re.compile("|".join(_TOO_LONG.values()), re.IGNORECASE | re.DOTALL)
_TOO_LARGE = 413
_TOO_LARGE_WORDS = re.compile(
    r"\b(prompt|input|context|conversation|messages?|tokens?) ((is|are|was|were) )?(much |far )?too (long|large)\b"
    r"|too many (input |prompt )?tokens",
    re.IGNORECASE,
)
"""The words that tell of a request with status 413 that it is the model's input that is too large."""


_MODEL_ERRORS = RESPONSES_API | {"model_error", "model_overloaded", "context_length_exceeded"}


INVALID_ANSWER = "invalid_answer"
"""The code of a turn whose answer is not of the form that the request asks for: the request is sound."""


def is_model_error(code: str) -> bool:
    """Return whether a turn with such a code failed because its model did."""
    return code in _MODEL_ERRORS


def model_error_code(status: int, code: object, words: str = "") -> str:
    """Return the code of a turn that failed because its model did.

    Args:
        status: the HTTP status that the model's endpoint answered.
        code: the code in its answer, if there was one.
        words: the rest of the answer: the error's type and message.

    Returns:
        The Responses API's code where that says more than that the model failed; ``context_length_exceeded`` and
        ``model_overloaded`` where it is that; else ``model_error``.
    """
    if status == _TOO_MANY_REQUESTS:
        return "rate_limit_exceeded"
    known = _OF_CHAT_COMPLETIONS.get(str(code), str(code))
    if known in RESPONSES_API - {"server_error"}:
        return known
    if _TOO_LONG_WORDS.search(f"{known} {words}"):
        return "context_length_exceeded"
    if status == _TOO_LARGE and _TOO_LARGE_WORDS.search(words):
        return "context_length_exceeded"
    if status in _OVERLOADED or _OVERLOADED_WORDS.search(f"{known} {words}"):
        return "model_overloaded"
    return "model_error"
