"""DSPy's LM: a Predict and a ChainOfThought, whole and streamed, and what the LM notes of them."""

from __future__ import annotations

import asyncio

import dspy
from target import SERVER

dspy.configure(lm=dspy.LM("openai/answer", cache=False, **SERVER))
assert dspy.Predict("question -> answer")(question="6 * 7?").answer == "42"
noted = dspy.settings.lm.history[-1]
assert noted["usage"]["total_tokens"] == 7, noted
assert asyncio.run(dspy.Predict("question -> answer").acall(question="6 * 7?")).answer == "42"

dspy.configure(lm=dspy.LM("openai/thought", cache=False, **SERVER))
found = dspy.ChainOfThought("question -> answer")(question="6 * 7?")
assert (found.reasoning, found.answer) == ("six times seven", "42"), found


async def streamed() -> str:
    listener = dspy.streaming.StreamListener(signature_field_name="answer")
    program = dspy.streamify(dspy.Predict("question -> answer"), stream_listeners=[listener])
    text = ""
    async for part in program(question="6 * 7?"):
        if isinstance(part, dspy.streaming.StreamResponse):
            text += part.chunk
    return text


dspy.configure(lm=dspy.LM("openai/answer", cache=False, **SERVER))
assert "42" in asyncio.run(streamed())
