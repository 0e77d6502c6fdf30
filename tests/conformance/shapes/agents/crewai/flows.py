"""Flows, as CrewAI's documentation writes them."""

from crewai.flow.flow import Flow, listen, router, start
from pydantic import BaseModel

from tests.conformance.shapes.agents.crewai.crews import clerk, sequential
from tests.conformance.shapes.agents.functions import Order


class Question(BaseModel):
    """What a flow works on."""

    input: str = ""
    notes: str = ""


class Routed(Flow[Question]):
    """A flow that goes one way or the other."""

    @start()
    def ask(self) -> str:
        self.state.notes = clerk.kickoff(self.state.input).raw
        return self.state.notes

    @router(ask)
    def judge(self) -> str:
        return "long" if len(self.state.notes) > 100 else "short"

    @listen("short")
    def keep(self) -> str:
        return self.state.notes

    @listen("long")
    def cut(self) -> str:
        return self.state.notes[:100]


class Ordered(Flow[Question]):
    """A flow that returns an object that an agent filled."""

    @start()
    def order(self) -> Order:
        return clerk.kickoff(self.state.input, response_format=Order).pydantic


class Crews(Flow[Question]):
    """A flow that kicks off a crew."""

    @start()
    def work(self) -> str:
        return sequential.copy().kickoff(inputs={"input": self.state.input}).raw


class Parsed(Flow[Question]):
    """A flow that makes an object of what a crew says."""

    @start()
    def work(self) -> Order:
        return Order.model_validate_json(sequential.copy().kickoff(inputs={"input": self.state.input}).raw)
