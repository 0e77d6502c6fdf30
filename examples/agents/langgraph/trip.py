"""Advises on a trip, in two steps: look everything up at once, then write the advice.

A graph built by hand: one node asks for the tools, LangGraph runs those in parallel, another node writes.
"""

import asyncio
import os

from langchain_core.messages import SystemMessage
from langchain_openai import ChatOpenAI
from langgraph.graph import END, START, MessagesState, StateGraph
from langgraph.prebuilt import ToolNode, tools_condition

CITIES = {
    "paris": ("11 °C, showers", "140 EUR", "the Louvre, the Marais"),
    "lisbon": ("19 °C, sunny", "90 EUR", "Alfama, the tile museum"),
    "oslo": ("1 °C, snow", "160 EUR", "the opera's roof, the Munch museum"),
}


async def look_up(city: str, column: int) -> str:
    await asyncio.sleep(0.2)  # as a service far away would
    if city.lower() not in CITIES:
        raise ValueError(f"nothing is known of {city}; known are {', '.join(CITIES)}")
    return CITIES[city.lower()][column]


async def weather(city: str) -> str:
    """The weather in a city."""
    return await look_up(city, 0)


async def hotel(city: str) -> str:
    """What a night in a hotel costs in a city."""
    return await look_up(city, 1)


async def sights(city: str) -> str:
    """What there is to see in a city."""
    return await look_up(city, 2)


TOOLS = [weather, hotel, sights]
RESEARCH = SystemMessage("Look up the weather, a hotel and the sights of each city asked about, all at once.")
WRITE = SystemMessage("Advise the traveller in three sentences, from what was looked up.")

model = ChatOpenAI(model=os.environ.get("INFERENCE_MODEL", "gpt-4.1-mini"), temperature=0)


async def research(state: MessagesState) -> MessagesState:
    return {"messages": [await model.bind_tools(TOOLS).ainvoke([RESEARCH, *state["messages"]])]}


async def write(state: MessagesState) -> MessagesState:
    return {"messages": [await model.ainvoke([WRITE, *state["messages"]])]}


agent = (
    StateGraph(MessagesState)
    .add_node(research)
    .add_node(ToolNode(TOOLS))
    .add_node(write)
    .add_edge(START, "research")
    .add_conditional_edges("research", tools_condition, {"tools": "tools", END: END})
    .add_edge("tools", "write")
    .add_edge("write", END)
    .compile()
)
