"""Two turns with the Llama Stack assistant, the second of which needs the first:

python -m examples.clients.llama_stack.call_assistant localhost 8321
"""

import sys

from llama_stack_client import Agent, AgentEventLogger, LlamaStackClient

QUESTIONS = ["My name is Ada. What is a compiler, in one sentence?", "And what is my name?"]


def main(host: str, port: str) -> None:
    client = LlamaStackClient(base_url=f"http://{host}:{port}")
    agent = Agent(client, model="llama-stack-assistant", instructions="")
    session = agent.create_session("two questions")
    for question in QUESTIONS:
        print(f"> {question}")
        turn = agent.create_turn([{"role": "user", "content": question}], session)
        for text in AgentEventLogger().log(turn):
            print(text, end="", flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
