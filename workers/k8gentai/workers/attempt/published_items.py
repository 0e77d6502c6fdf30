"""The messages and tool calls that a turn has published, and how far a new attempt has said each again."""

from k8gentai.agents.contract.events import (
    MessageDone,
    ReasoningDelta,
    TextDelta,
    ToolCall,
    ToolCallStarted,
    ToolResult,
)


class Pieces:
    """A text that comes in pieces, which are joined when they are looked at."""

    def __init__(self, text: str = "") -> None:
        self._pieces = [text]
        self.length = len(text)

    def add(self, piece: str) -> None:
        """Put a piece at the text's end."""
        self._pieces.append(piece)
        self.length += len(piece)

    def text(self) -> str:
        """Return the text as far as it came."""
        if len(self._pieces) > 1:
            self._pieces = ["".join(self._pieces)]
        return self._pieces[0]

    def part(self, start: int, length: int) -> str:
        """Return what stands at a place of the text; nothing at its end."""
        return self.text()[start : start + length] if start < self.length else ""


class PublishedText(Pieces):
    """A text that was published in pieces, and how much of it the new attempt has said again."""

    def __init__(self) -> None:
        super().__init__()
        self.again = 0

    def fits(self, text: str, *, whole: bool) -> bool:
        """Return whether a text that is being said again may be this one.

        Args:
            text: the text as far as it was said again.
            whole: no more of this one will be published.
        """
        return self.goes_on(0, text, whole=whole)

    def goes_on(self, start: int, piece: str, *, whole: bool) -> bool:
        """Return whether a text that fits as far as a place does so with its next piece as well.

        Args:
            start: the place.
            piece: the text that is said again from there on.
            whole: no more of this text will be published.
        """
        old = self.part(start, len(piece))
        return old == piece or (not whole and piece.startswith(old))

    def news(self, piece: str) -> str | None:
        """Return what of a piece is new: nothing, its end, or None where it departs from what was said."""
        old = self.part(self.again, len(piece))
        if not piece.startswith(old):
            return None
        self.again += len(piece)
        new = piece[len(old) :]
        if new:
            self.add(new)
        return new


class PublishedItem:
    """A message or tool call that was published, as far as it was."""

    def __init__(self) -> None:
        self.text = PublishedText()
        self.reasoning = PublishedText()
        self.begun: ToolCallStarted | None = None
        self.whole: MessageDone | ToolCall | None = None
        self.result: ToolResult | None = None
        self.seen = False
        """Whether the new attempt has come to it."""

    def said_again(self, message: "SaidAgain | None") -> None:
        """Note how far a message of the new attempt has said it again."""
        self.seen = message is not None
        self.text.again = message.text.length if message else 0
        self.reasoning.again = message.reasoning.length if message else 0


class SaidAgain:
    """A message of the new attempt.

    Args:
        name: the id by which it is published.
        text: the text of the message so far.
        reasoning: the reasoning of the message so far.
    """

    def __init__(self, name: str = "", text: str = "", reasoning: str = "") -> None:
        self.name = name
        self.text = Pieces(text)
        self.reasoning = Pieces(reasoning)

    def copy(self) -> "SaidAgain":
        """Return the message as it stands."""
        return SaidAgain(self.name, self.text.text(), self.reasoning.text())

    def take(self, event: TextDelta | ReasoningDelta | MessageDone) -> None:
        """Take what the message says next, or all that it says."""
        match event:
            case TextDelta():
                self.text.add(event.delta)
            case ReasoningDelta():
                self.reasoning.add(event.delta)
            case MessageDone():
                self.text, self.reasoning = Pieces(event.text), Pieces(event.reasoning)

    def is_of(self, item: PublishedItem) -> bool:
        """Return whether what it says so far is what a published message says."""
        whole = item.whole is not None
        texts = (item.text, self.text), (item.reasoning, self.reasoning)
        return all(published.fits(said.text(), whole=whole) for published, said in texts)

    def goes_on(self, item: PublishedItem, event: TextDelta | ReasoningDelta | MessageDone) -> bool:
        """Return whether what it says next is what the published message that it is taken for says there."""
        whole = item.whole is not None
        match event:
            case TextDelta():
                return item.text.goes_on(self.text.length, event.delta, whole=whole)
            case ReasoningDelta():
                return item.reasoning.goes_on(self.reasoning.length, event.delta, whole=whole)
        return False
