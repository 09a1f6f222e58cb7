"""smolagents' LiteLLMModel: an answer, a stream, and an agent that calls a tool."""

from __future__ import annotations

from smolagents import LiteLLMModel, LiteLLMRouterModel, ToolCallingAgent, tool
from target import SERVER

ASKED = [{"role": "user", "content": "Hello"}]

model = LiteLLMModel(model_id="openai/plain", **SERVER)
answer = model.generate(ASKED)
assert answer.content == "Hello there", answer
assert answer.token_usage.total_tokens == 7, answer
assert "".join(d.content or "" for d in model.generate_stream(ASKED)) == "Hello there"


@tool
def double(number: int) -> int:
    """Double a number.

    Args:
        number: The number.
    """
    return 2 * number


model = LiteLLMModel(model_id="openai/double", **SERVER)
calls = model.generate(ASKED, tools_to_call_from=[double]).tool_calls
assert (calls[0].function.name, calls[0].id) == ("double", "call_1"), calls

agent = ToolCallingAgent(
    tools=[double], model=LiteLLMModel(model_id="openai/agent", **SERVER), verbosity_level=0
)
assert agent.run("Double 21") == "42"

deployment = {"model_name": "group", "litellm_params": {"model": "openai/plain", **SERVER}}
model = LiteLLMRouterModel(model_id="group", model_list=[deployment])
assert model.generate(ASKED).content == "Hello there"
