"""LlamaIndex's LiteLLM class: chat, completion, both streamed, asynchronous, and with a tool."""

from __future__ import annotations

import asyncio

from llama_index.core.llms import ChatMessage
from llama_index.core.tools import FunctionTool
from llama_index.llms.litellm import LiteLLM
from target import SERVER

ASKED = [ChatMessage(role="user", content="Hello")]

llm = LiteLLM(model="openai/plain", **SERVER)
assert llm.chat(ASKED).message.content == "Hello there"
assert llm.complete("Hello").text == "Hello there"
assert "".join(part.delta for part in llm.stream_chat(ASKED)) == "Hello there"
assert asyncio.run(llm.achat(ASKED)).message.content == "Hello there"


async def streamed() -> str:
    return "".join([part.delta async for part in await llm.astream_chat(ASKED)])


assert asyncio.run(streamed()) == "Hello there"


def double(number: int) -> int:
    """Double a number."""
    return 2 * number


# A known model, because for others LlamaIndex does not even try.
llm = LiteLLM(model="openai/gpt-4o", **SERVER)
called = llm.predict_and_call([FunctionTool.from_defaults(double)], user_msg="Double 21")
assert called.response == "42", called
