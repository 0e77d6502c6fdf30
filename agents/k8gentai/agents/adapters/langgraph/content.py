"""What is in a LangChain message's content."""

from langchain_core.messages import BaseMessage, ToolMessage


def text_and_reasoning(message: BaseMessage) -> tuple[str, str]:
    """Return a message's text and its reasoning, either of which may be empty.

    Content is a string, or blocks as OpenAI's Responses API, Anthropic or LangChain itself write them; several
    servers put reasoning beside the content, as ``reasoning_content``.
    """
    reasoning = str(message.additional_kwargs.get("reasoning_content") or "")
    if isinstance(message.content, str):
        return message.content or str(message.additional_kwargs.get("refusal") or ""), reasoning
    text = ""
    for block in message.content:
        if isinstance(block, str):
            text += block
        elif block.get("type") in ("text", "output_text", "input_text"):
            text += block.get("text") or ""
        elif block.get("type") == "refusal":
            text += block.get("refusal") or ""
        elif block.get("type") == "reasoning":
            reasoning += block.get("reasoning") or "".join(s.get("text", "") for s in block.get("summary") or ())
        elif block.get("type") == "thinking":
            reasoning += block.get("thinking") or ""
        elif isinstance(message, ToolMessage):
            # Models are shown it, where they take it; people are told that it is there.
            text += f"[{str(block.get('type') or 'data').removesuffix('_url')}]"
    return text, reasoning
