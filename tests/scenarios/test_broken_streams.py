"""Scenario 4: answers that are not whole, over real sockets."""

import pytest

from scallion import Clock
from scallion import exceptions as e
from scallion.middlewares import fallback, retry, timeout
from support.upstream import (
    CLOSE,
    CUT,
    HANG,
    Reply,
    completion,
    completion_stream,
    html,
    json_reply,
    message,
    message_stream,
    sse,
)
from support.world import MODELS, Mode, chunks_of

STREAM = Mode("stream")
EVENTS = {"content-type": "text/event-stream"}
OTHER = {"openai": "anthropic", "anthropic": "openrouter", "openrouter": "openai"}


def broken_off(provider, how):
    """A stream that says "Hel" and "lo", and then this happens."""
    if provider == "anthropic":
        if how == "no finish":
            return message_stream("Hel", "lo", stop_reason=None)
        return message_stream("Hel", "lo", how, stop_reason=None)
    if how == "no finish":
        return completion_stream("Hel", "lo", finish=None)
    return completion_stream("Hel", "lo", how, finish=None)


IN_BAND = {"error": {"type": "server_error", "code": 502, "message": "Oh"}, "type": "error"}
BREAKS = {
    "no finish": ("no finish", e.StreamTruncatedError),
    "socket closed": (CLOSE, e.StreamInterruptedError),
    "socket reset": (CUT, e.StreamInterruptedError),
    "malformed": (b'data: {"type": "content_block\n\n', e.StreamInterruptedError),
    "not UTF-8": (b"data: \xff\xfe{}\n\n", e.StreamInterruptedError),
    "error": (sse(IN_BAND, "error"), e.StreamInterruptedError),
}


def consistent(attempts):
    """Whether each attempt has ended, and is honest about its count."""
    return all(
        a.status != "pending"
        and a.latency is not None
        and not (a.exact and a.status != "completed")
        for a in attempts
    )


@pytest.mark.parametrize("how", BREAKS)
async def test_a_stream_that_breaks_after_content_raises_with_what_came(world, provider, how):
    step, expected = BREAKS[how]
    world.says(**{provider: broken_off(provider, step), OTHER[provider]: STREAM.good("openai")})
    layers = [timeout(total=60, inter_chunk=30), fallback([MODELS[OTHER[provider]]]), retry()]
    stream = world.pipeline(*layers, first=provider).stream("hi")
    seen = []

    with pytest.raises(e.StreamError) as caught:
        async for chunk in stream:
            seen.append(chunk)

    assert type(caught.value) is expected
    assert "".join(chunk.content or "" for chunk in seen) == "Hello"
    assert not any(chunk.finish_reason for chunk in seen)
    assert caught.value.partial.text == stream.result.text == "Hello"
    assert caught.value.partial.finish_reason is None
    assert (caught.value.provider, caught.value.model) == (provider, MODELS[provider])
    outcome = stream.response.outcome
    assert (outcome.status, outcome.error) == ("failed", caught.value)
    # What is known for an estimate of its cost: the text, and that the count is not final.
    (attempt,) = caught.value.attempts
    assert (attempt.status, attempt.exact, attempt.response.text) == ("failed", False, "Hello")
    assert world.counts() == {provider: 1}
    await world.upstream.all_closed() if how.startswith("socket") else None


# What comes instead of an answer, before any content of it.
INSTEAD = {
    "nothing but a role": (completion_stream(finish=None), message_stream(stop_reason=None)),
    "an empty stream": (Reply(headers=EVENTS),) * 2,
    "an empty body": (Reply.whole(b""),) * 2,
    "an empty JSON body": (Reply.whole(b"", headers={"content-type": "application/json"}),) * 2,
    "JSON": (completion("Whole"), message("Whole")),
    "an HTML page": (html(200),) * 2,
    "malformed": (Reply(headers=EVENTS, chunks=[b"data: {oops\n\n"]),) * 2,
    "a closed socket": (Reply(headers=EVENTS, chunks=[CLOSE]),) * 2,
    "a reset socket": (Reply(headers=EVENTS, chunks=[CUT]),) * 2,
    "only comments": (Reply(headers=EVENTS, chunks=[b": ping\n\n"] * 3),) * 2,
    "only [DONE]": (Reply(headers=EVENTS, chunks=[b"data: [DONE]\n\n"]),) * 2,
}
TYPED = {
    "nothing but a role": e.StreamTruncatedError,
    "an empty stream": e.StreamTruncatedError,
    "an empty body": e.StreamTruncatedError,
    "a closed socket": e.ConnectionError,
    "a reset socket": e.ConnectionError,
    "only comments": e.StreamTruncatedError,
    "only [DONE]": e.StreamTruncatedError,
}


@pytest.mark.parametrize("what", INSTEAD)
async def test_what_is_no_stream_is_a_typed_error_and_never_a_stop(world, provider, what):
    world.says(**{provider: INSTEAD[what][provider == "anthropic"]})
    stream = world.pipeline(first=provider).stream("hi")

    with pytest.raises(e.ProviderError) as caught:
        await chunks_of(stream)

    assert type(caught.value) is TYPED.get(what, e.MalformedResponseError)
    (attempt,) = caught.value.attempts
    assert (attempt.status, attempt.exact) == ("failed", False)
    if what == "JSON":
        assert caught.value.partial.text == "Whole"


@pytest.mark.parametrize("what", INSTEAD)
async def test_before_content_it_is_tried_again_and_then_another_target_answers(
    world, provider, what
):
    other = OTHER[provider]
    world.says(**{provider: INSTEAD[what][provider == "anthropic"], other: STREAM.good(other)})
    llm = world.pipeline(fallback([MODELS[other]]), retry(attempts=2), first=provider)

    answer = await STREAM.ask(llm)

    assert (answer.text, answer.provider) == ("Hi", other)
    assert world.counts() == {provider: 2, other: 1}


COMPLETE = {
    "cut": b'{"id": "x", "choices": [{"mess',
    "empty": b"",
    "blank": b"\n \n",
    "no object": b"[1]",
    "no choices": b"{}",
    "not UTF-8": b'{"id": "\xff"}',
    "SSE": b"data: {}\n\n",
}


@pytest.mark.parametrize("what", COMPLETE)
async def test_a_whole_answer_that_is_not_whole_is_tried_again_and_goes_on(world, provider, what):
    other = OTHER[provider]
    body = Reply.whole(COMPLETE[what], headers={"content-type": "application/json"})
    world.says(**{provider: body, other: Mode("complete").good(other)})
    llm = world.pipeline(fallback([MODELS[other]]), retry(attempts=2), first=provider)

    assert (await llm.complete("hi")).provider == other

    assert world.counts() == {provider: 2, other: 1}


@pytest.mark.parametrize("ending", [CLOSE, CUT])
async def test_a_whole_answer_whose_socket_is_cut_is_a_connection_error(world, provider, ending):
    whole = Mode("complete").good(provider).chunks[0]
    cut = Reply(
        headers={"content-type": "application/json"},
        chunks=[whole[:50], ending],
        framing="length",
        length=len(whole),
    )
    world.says(**{provider: cut})

    with pytest.raises(e.ConnectionError):
        await world.pipeline(first=provider).complete("hi")


@pytest.mark.parametrize("ending", [CLOSE, CUT, HANG], ids=["closed", "reset", "stalled"])
async def test_an_answer_with_its_finish_reason_is_whole_however_the_connection_ends(
    world, provider, ending
):
    if provider == "anthropic":
        usage = {"output_tokens": 2}
        delta = {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": usage}
        reply = message_stream("Hi", sse(delta, "message_delta"), ending, stop_reason=None)
    else:
        finish = sse({"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]})
        reply = completion_stream("Hi", finish, ending, finish=None)
    world.says(**{provider: reply})
    layers = [timeout(inter_chunk=0.1), fallback(["gpt-4.1"], stream="restart"), retry()]
    stream = world.pipeline(*layers, first=provider, clock=Clock()).stream("hi")

    chunks = await chunks_of(stream)

    assert [chunk.finish_reason for chunk in chunks if chunk.finish_reason] == ["stop"]
    assert stream.result.text == "Hi"
    (attempt,) = stream.response.outcome.attempts
    # Anthropic's usage comes with the reason, the others' after it.
    assert (attempt.status, attempt.exact) == ("completed", provider == "anthropic")
    assert world.counts() == {provider: 1}
    await world.upstream.all_closed()


# ------------------------------------------------------------------------------ stream="restart"


@pytest.mark.parametrize("how", BREAKS)
async def test_restart_begins_anew_on_the_next_target_and_marks_the_seam(world, provider, how):
    other = OTHER[provider]
    world.says(
        **{provider: broken_off(provider, BREAKS[how][0]), other: STREAM.good(other, "Anew")}
    )
    layers = [
        timeout(total=60, inter_chunk=30),
        fallback([MODELS[other]], stream="restart"),
        retry(),
    ]
    stream = world.pipeline(*layers, first=provider).stream("hi")

    chunks = await chunks_of(stream)

    seams = [chunk for chunk in chunks if chunk.restarted]
    assert len(seams) == 1
    before, after = chunks[: chunks.index(seams[0])], chunks[chunks.index(seams[0]) :]
    assert "".join(chunk.content or "" for chunk in before) == "Hello"
    assert not any(chunk.finish_reason for chunk in before)
    assert "".join(chunk.content or "" for chunk in after) == "Anew"
    assert (stream.result.text, stream.result.provider) == ("Anew", other)
    assert stream.result.usage.total_tokens == 7
    attempts = stream.response.outcome.attempts
    assert [(a.provider, a.status, a.exact, a.response.text) for a in attempts] == [
        (provider, "failed", False, "Hello"),
        (other, "completed", True, "Anew"),
    ]
    assert type(attempts[0].error) is BREAKS[how][1]


async def test_restart_goes_on_through_targets_that_fail_before_and_after_content(world):
    world.says(
        openai=broken_off("openai", CUT),
        anthropic=broken_off("anthropic", "no finish"),
        openrouter=[json_reply({"error": {"code": 502}}), STREAM.good("openrouter", "Third")],
    )
    targets = [MODELS["anthropic"], MODELS["openrouter"]]
    stream = world.pipeline(fallback(targets, stream="restart"), retry(attempts=2)).stream("hi")

    chunks = await chunks_of(stream)

    texts = [(chunk.content, chunk.restarted) for chunk in chunks if chunk.content]
    assert [text for text, _ in texts] == ["Hel", "lo", "Hel", "lo", "Third"]
    assert sum(chunk.restarted for chunk in chunks) == 2
    assert stream.result.text == "Third"
    assert world.counts() == {"openai": 1, "anthropic": 1, "openrouter": 2}
    statuses = [a.status for a in stream.response.outcome.attempts]
    assert statuses == ["failed", "failed", "failed", "completed"]


async def test_restart_with_nobody_left_raises_every_cause_with_what_each_had_said(world):
    world.says(openai=broken_off("openai", CUT), anthropic=broken_off("anthropic", CLOSE))
    llm = world.pipeline(fallback([MODELS["anthropic"]], stream="restart"))
    stream = llm.stream("hi")

    with pytest.raises(e.AllModelsFailedError) as caught:
        await chunks_of(stream)

    assert [error.partial.text for error in caught.value.errors] == ["Hello", "Hello"]
    assert [error.provider for error in caught.value.errors] == ["openai", "anthropic"]
    assert stream.response.outcome.error is caught.value
    assert consistent(caught.value.attempts)
