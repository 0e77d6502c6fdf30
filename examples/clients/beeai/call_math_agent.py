"""Ask the BeeAI math agent: python -m examples.clients.beeai.call_math_agent localhost 8321 [question]"""

import sys

from llama_stack_client import Agent, AgentEventLogger, LlamaStackClient


def main(host: str, port: str, question: str = "What is 12 times 4, divided by 3?") -> None:
    client = LlamaStackClient(base_url=f"http://{host}:{port}")
    # The agent is chosen by its id; its instructions and tools are its own.
    agent = Agent(client, model="beeai-math", instructions="")
    session = agent.create_session("sums")
    turn = agent.create_turn([{"role": "user", "content": question}], session)
    for text in AgentEventLogger().log(turn):
        print(text, end="", flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
