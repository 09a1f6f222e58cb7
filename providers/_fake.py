"""A provider that answers from a script: for first steps, demonstrations and tests."""

from __future__ import annotations

import copy
import inspect
import re
from collections import deque
from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar

from scallion._accumulate import chunks_of
from scallion._response import Response
from scallion.types import (
    Choice,
    ChunkChoice,
    Delta,
    Message,
    ModelResponse,
    StreamChunk,
    Usage,
    text_of,
)

from ._base import BaseLLMClient

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from scallion._request import Request

Step = (
    str | Message | ModelResponse | Exception | tuple[str, Exception] | Callable[["Request"], Any]
)
"""One answer: a text, a message (say, with tool calls), a whole response, an error to raise, a text
after which the stream breaks with an error, or a function (async or not) of the request that
returns one of these."""


class FakeClient(BaseLLMClient):
    """Answers from a script, one step per call; when that is used up, says what it was asked.

    Streams come word by word. Token counts are made up (one per four characters), but the same for
    complete and streamed calls.

    Args:
        script: The steps; see `Step`.
        delay: Seconds that each word takes, on the pipeline's clock; a whole answer comes when the
            last one would have.
    """

    name: ClassVar[str] = "fake"

    def __init__(self, script: Sequence[Step] | None = None, *, delay: float = 0.0) -> None:
        if isinstance(script, (str, bytes)):
            raise TypeError("script must be a list of steps, not one text")
        self._script = tuple(script or ())
        for step in self._script:
            if not callable(step) and not isinstance(step, (tuple, Exception)):
                _check_said(step, step)
        self._steps = deque(self._script)
        self._delay = delay

    async def __call__(self, request: Request) -> Response:
        """Take the next step."""
        step: Any = self._steps.popleft() if self._steps else _default(request)
        if callable(step):
            step = step(request)
            if inspect.isawaitable(step):
                step = await step
        if isinstance(step, Exception):
            raise step
        said, error = step if isinstance(step, tuple) else (step, None)
        _check_said(said, step)
        # A copy, because layers and callers write on what they get.
        if isinstance(said, str):
            answer = _answer(Message(content=said), request)
        else:
            said = copy.copy(said)
            answer = said if isinstance(said, ModelResponse) else _answer(said, request)
        answer.provider = self.name
        if self._delay and error is None and not request.stream:
            for _ in re.findall(r"\S+", answer.text):
                await request.context.clock.sleep(self._delay)
        if request.stream:
            return Response.streaming(self._words(answer, error, request), request, provider="fake")
        if error is not None:
            raise error
        return Response.completed(answer, request)

    async def count_tokens_exact(self, request: Request) -> int:
        """See `BaseLLMClient`: what a call would report, made up as it is."""
        return _prompt_tokens(request)

    async def _words(
        self, answer: ModelResponse, error: Exception | None, request: Request
    ) -> AsyncIterator[StreamChunk]:
        opening, finish = chunks_of(answer)
        deltas: list[Delta] = []
        if opening.choices:
            # Words one by one, then the tool calls; everything else comes with the first word.
            first = opening.choices[0].delta
            if isinstance(first.content, str) and first.content:
                first.content, *words = re.findall(r"\S+\s*|\s+", first.content)
                deltas += [Delta(content=word) for word in words]
            deltas.append(Delta(tool_calls=first.tool_calls))
            first.tool_calls = None
        for chunk in [opening, *[_like(opening, delta) for delta in deltas]]:
            yield chunk
            if self._delay and chunk.content:
                await request.context.clock.sleep(self._delay)
        if error is not None:
            raise error
        yield finish

    def __reduce__(self) -> Any:
        return partial(FakeClient, delay=self._delay), (self._script,)

    def __repr__(self) -> str:
        return f"fake({len(self._script)} steps)" if self._script else "fake()"


def _check_said(said: object, step: object) -> None:
    if not isinstance(said, (str, Message, ModelResponse)):
        raise TypeError(
            "a step of the fake provider is a text, a Message, a ModelResponse, an error, a "
            f"text with an error, or a function that returns one of these, not {step!r}"
        )


def _like(chunk: StreamChunk, delta: Delta) -> StreamChunk:
    """A chunk of the same stream that adds `delta` to the first choice."""
    return StreamChunk(
        id=chunk.id, object=chunk.object, model=chunk.model, choices=[ChunkChoice(delta=delta)]
    )


def _default(request: Request) -> str:
    asked = text_of(request.messages[-1].get("content")) or "nothing"
    return f"You asked: {asked} I am a fake model, so this is all I can say about it."


def _answer(message: Message, request: Request) -> ModelResponse:
    calls = message.tool_calls or []
    named = [call.function for call in calls if call.function is not None]
    written = [message.text, *[f"{one.name or ''}{one.arguments or ''}" for one in named]]
    prompt, completion = _prompt_tokens(request), _tokens("".join(written))
    return ModelResponse(
        id="fake-1",
        object="chat.completion",
        model=request.model,
        choices=[Choice(message=message, finish_reason="tool_calls" if calls else "stop")],
        usage=Usage(
            prompt_tokens=prompt,
            completion_tokens=completion,
            total_tokens=prompt + completion,
        ),
    )


def _prompt_tokens(request: Request) -> int:
    return sum(_tokens(text_of(message.get("content"))) for message in request.messages)


def _tokens(text: str) -> int:
    return len(text) // 4 + 1
