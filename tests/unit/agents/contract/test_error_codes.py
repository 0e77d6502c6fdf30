"""Which errors of model endpoints say that the model was sent more than it takes, in the words of each."""

import pytest

from k8gentai.agents.contract.error_codes import model_error_code

_OPENAI = (
    "This model's maximum context length is 8192 tokens. However, you requested 8300 tokens (7300 in the messages,"
    " 1000 in the completion). Please reduce the length of the messages or completion."
)
_ANTHROPIC = (
    "input length and `max_tokens` exceed context limit: 199759 + 8192 > 200000, decrease input length or"
    " `max_tokens` and try again"
)


@pytest.mark.parametrize(
    "words",
    [
        pytest.param(_OPENAI, id="OpenAI"),
        pytest.param("Your input exceeds the context window of this model.", id="OpenAI's Responses API"),
        pytest.param(
            "Input tokens exceed the configured limit of 272000 tokens. Your messages resulted in 300000 tokens.",
            id="OpenAI, GPT-5",
        ),
        pytest.param("prompt is too long: 210000 tokens > 200000 maximum", id="Anthropic"),
        pytest.param(_ANTHROPIC, id="Anthropic, with its answer"),
        pytest.param(
            "The input token count (1200293) exceeds the maximum number of tokens allowed (1048576).", id="Gemini"
        ),
        pytest.param(
            "The input token count exceeds the maximum number of tokens allowed 1048576.", id="Gemini, shorter"
        ),
        pytest.param(
            "This model's maximum prompt length is 131072 but the request contains 136973 tokens.", id="xAI"
        ),
        pytest.param("Please reduce the length of the messages or completion.", id="Groq"),
        pytest.param(
            "Please reduce the length of the messages or completion. Current length is 42328 while limit is 40000",
            id="Cerebras",
        ),
        pytest.param(
            "Input validation error: `inputs` tokens + `max_new_tokens` must be <= 4096. Given: 8740",
            id="TGI",
        ),
        pytest.param("`inputs` must have less than 4095 tokens. Given: 5000", id="TGI, inputs alone"),
        pytest.param("the input length exceeds the context length", id="Ollama"),
        pytest.param("prompt too long; exceeded max context length by 4 tokens", id="Ollama's cloud"),
        pytest.param("the request exceeds the available context size, try increasing it", id="llama.cpp"),
        pytest.param(
            "The number of tokens to keep from the initial prompt is greater than the context length.",
            id="LM Studio",
        ),
        pytest.param(
            "The decoder prompt (length 40000) is longer than the maximum model length of 32768.", id="vLLM"
        ),
        pytest.param(
            "The input (85050 tokens) is longer than the model's context length (32768 tokens).", id="SGLang"
        ),
        pytest.param(
            "Requested token count exceeds the model's maximum context length of 131072 tokens.",
            id="SGLang, with its answer",
        ),
        pytest.param("This endpoint's maximum context length is 16384 tokens.", id="OpenRouter"),
        pytest.param(
            "Prompt contains 40000 tokens, too large for model with 32768 maximum context length",
            id="Mistral",
        ),
        pytest.param("Input is too long for requested model.", id="Bedrock"),
        pytest.param("prompt token count of 130000 exceeds the limit of 128000", id="GitHub"),
        pytest.param("invalid params, context window exceeds limit (2013)", id="MiniMax"),
        pytest.param("Your request exceeded model token limit: 262144 (requested: 291351)", id="Kimi"),
        pytest.param(
            "InternalError.Algo.InvalidParameter: Range of input length should be [1, 129024]", id="Qwen"
        ),
        pytest.param("Prompt exceeds max length", id="GLM"),
        pytest.param("too many tokens: total number of tokens in the prompt cannot exceed 4081", id="Cohere"),
    ],
)
def test_what_was_too_long_for_the_model_is_told_so(words: str) -> None:
    assert model_error_code(400, None, f"invalid_request_error {words}") == "context_length_exceeded"


@pytest.mark.parametrize("code", ["context_length_exceeded", "exceed_context_size_error"])
def test_so_it_is_where_the_code_alone_tells(code: str) -> None:
    assert model_error_code(400, code, "no") == "context_length_exceeded"


@pytest.mark.parametrize(
    "words",
    [
        "max_tokens is too large: 100000. This model supports at most 16384 completion tokens.",
        "the maximum value for max_completion_tokens is less than the context_window for this model",
        "`max_new_tokens` must be <= 1512",
        "Range of max_tokens should be [1, 8192]",
        "Unsupported parameter: 'max_tokens' is not supported with this model.",
        "Invalid 'tools': array too long. Expected an array with maximum length 128.",
        "Invalid 'tools[0].function.name': string too long. Expected a string with maximum length 64.",
        "Invalid schema for function 'context_length': context size must be a number",
        "The context window of a model cannot be set by a request",
        "The model `gpt-9` does not exist or you do not have access to it.",
        "messages: at least one message is required",
        "image exceeds 5 MB maximum: 6291456 bytes > 5242880 bytes",
        "The number of images exceeds the limit of 4",
        "temperature must be <= 2",
        "You exceeded your current quota, please check your plan and billing details.",
        "The prompt was flagged by the content filter",
    ],
)
def test_what_else_was_wrong_with_a_request_is_not_that(words: str) -> None:
    assert model_error_code(400, None, f"invalid_request_error {words}") == "model_error"


def test_nor_is_a_limit_of_tokens_a_minute() -> None:
    words = "Request too large for model `m` on tokens per minute (TPM): Limit 6000, Requested 9000, please reduce"
    assert model_error_code(413, "rate_limit_exceeded", words) == "rate_limit_exceeded"
    assert model_error_code(413, None, f"tokens {words} your message size") == "model_error"
