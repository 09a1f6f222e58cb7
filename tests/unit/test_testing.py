"""scallion.testing: scripted providers and what can be said of them."""

import asyncio
import copy
import pickle

import pytest

from scallion import build_pipeline
from scallion.exceptions import RateLimitError, ServerError
from scallion.middlewares import fallback, retry
from scallion.testing import ManualClock, ScriptedProvider, assert_streams_alike


def pipeline(provider, *layers):
    return build_pipeline(layers, provider=provider, model="m", clock=ManualClock(auto=True))


async def test_a_script_is_played_in_order_and_what_was_asked_is_known():
    provider = ScriptedProvider(RateLimitError("slow"), "Hi")
    assert (await pipeline(provider, retry()).complete("hello", seed=1)).text == "Hi"
    provider.assert_asked(2)
    provider.assert_played()
    assert [request.params for request in provider.requests] == [{"seed": 1}] * 2


async def test_the_words_of_its_module_are_true():
    provider = ScriptedProvider(ServerError("no"), "Hi")
    clock = ManualClock()
    llm = build_pipeline([retry()], provider=provider, model="m", clock=clock)
    call = asyncio.create_task(llm.complete("hi"))
    await clock.advance(2.0)
    assert (await call).text == "Hi"
    provider.assert_played()


async def test_one_request_too_many_fails_the_test_whatever_the_layers_do():
    provider = ScriptedProvider("Hi")
    llm = pipeline(provider, retry(), fallback(["other"]))
    await llm.complete("one")
    with pytest.raises(AssertionError, match=r"asked 2 times.* 1 step.*m, 'two'"):
        await llm.complete("two")
    provider.assert_asked(2)


async def test_what_was_not_asked_or_not_played_is_told():
    provider = ScriptedProvider("Hi", "Ho")
    with pytest.raises(AssertionError, match="2 steps not played"):
        provider.assert_played()
    await pipeline(provider).complete("one")
    with pytest.raises(AssertionError, match=r"asked once, not 2:\s+m: .*'one'"):
        provider.assert_asked(2)


async def test_a_scripted_provider_pickles_as_its_script():
    provider = ScriptedProvider("Hi", "Ho", delay=1.0)
    await pipeline(provider).complete("one")
    again = pickle.loads(pickle.dumps(provider))
    assert (await pipeline(again).complete("one")).text == "Hi"
    assert (again._delay, len(again.requests)) == (1.0, 1)


async def test_layers_that_treat_streams_alike_pass():
    async def shouts(request, call_next):
        def louder(chunk):
            for choice in chunk.choices:
                if choice.delta.content:
                    choice.delta.content = choice.delta.content.upper()
            return chunk

        return (await call_next(request)).map(louder)

    answer = await assert_streams_alike(lambda: pipeline(ScriptedProvider("a b c"), shouts))
    assert answer.text == "A B C"


async def test_a_layer_that_forgets_streams_does_not():
    async def signs(request, call_next):
        response = await call_next(request)
        if request.stream:
            return response
        answer = copy.deepcopy(await response.collect())
        answer.choices[0].message.content += ", Bob"
        return type(response).completed(answer, request)

    with pytest.raises(AssertionError, match=r"choices differs: whole .*Bob.*, streamed"):
        await assert_streams_alike(lambda: pipeline(ScriptedProvider("a"), signs))


async def test_params_and_messages_are_passed_on():
    asked = []

    async def notes(request, call_next):
        asked.append((request.messages[0]["content"], request.params, request.stream))
        return await call_next(request)

    messages = [{"role": "user", "content": "z"}]
    await assert_streams_alike(lambda: pipeline(ScriptedProvider("y"), notes), messages, seed=7)
    assert asked == [("z", {"seed": 7}, False), ("z", {"seed": 7}, True)]
