"""log(): what is said, how loudly, and what is never said unasked."""

import gc
import io
import json
import logging
import threading

import pytest
import structlog

from scallion import Response, build_pipeline
from scallion.costs import PriceTable
from scallion.exceptions import InvalidRequestError, ServerError
from scallion.middlewares import cache, cost, fallback, log, retry
from scallion.providers import fake
from scallion.testing import ManualClock
from scallion.types import StreamChunk
from support.chunks import Source


@pytest.fixture
def events():
    with structlog.testing.capture_logs(
        processors=[structlog.contextvars.merge_contextvars]
    ) as captured:
        yield captured


def pipeline(provider, *layers, **settings):
    clock = ManualClock(auto=True)
    return build_pipeline([log(**settings), *layers], provider=provider, model="m", clock=clock)


@pytest.mark.parametrize("mode", ["complete", "stream"])
async def test_a_call_is_two_events(events, mode):
    llm = pipeline(fake(["Hi there"]))
    if mode == "complete":
        await llm.complete("hello", tenant="acme", metadata={"job": 7})
    else:
        await llm.stream("hello", tenant="acme", metadata={"job": 7}).collect()

    started, settled = events
    assert (started["event"], started["log_level"]) == ("call started", "debug")
    assert (settled["event"], settled["log_level"]) == ("call settled", "info")
    assert settled["id"] == started["id"]
    expected = {
        "model": "m", "answered_by": "m", "provider": "fake", "status": "completed", "attempts": 1,
        "tenant": "acme", "metadata": {"job": 7}, "prompt_tokens": 2, "completion_tokens": 3,
    }  # fmt: skip
    assert expected.items() <= settled.items()
    assert settled["latency"] >= 0
    assert ("first_token_after" in settled) is (mode == "stream")
    first = settled.get("first_token_after", 0)
    assert first == round(first, 6)


async def test_prompts_and_answers_are_not_logged_unasked(events):
    await pipeline(fake(["the answer"])).complete("the prompt")
    await pipeline(fake(["the answer"])).stream("the prompt").collect()

    assert "the prompt" not in str(events)
    assert "the answer" not in str(events)


async def test_prompts_are_logged_when_asked_shortened_and_redacted(events):
    llm = pipeline(
        fake(["secret " * 10]),
        prompts=True,
        max_length=20,
        redact=lambda text: text.replace("secret", "***"),
    )
    await llm.complete("my secret is long, very long indeed")

    assert events[0]["prompt"] == "my *** is long, very…"
    assert events[1]["answer"] == "*** *** *** *** *** …"


async def test_a_retried_call_is_a_warning_and_a_failed_one_an_error(events):
    llm = pipeline(fake([ServerError("down"), "Hi"]), retry())
    await llm.complete("hello")
    llm = pipeline(fake([InvalidRequestError("the prompt was: hello", provider="fake")]))
    with pytest.raises(InvalidRequestError):
        await llm.complete("hello")

    retried, failed = events[1], events[3]
    assert (retried["log_level"], retried["attempts"]) == ("warning", 2)
    assert (failed["log_level"], failed["status"]) == ("error", "failed")
    assert failed["error"] == "InvalidRequestError"
    assert "the prompt was" not in str(events)


@pytest.mark.parametrize("order", ["log first", "cost first"])
async def test_a_hit_says_so_and_every_call_what_it_cost_if_that_is_known(events, order):
    prices = PriceTable()
    prices.register("*", input=1, output=1)
    layers = [log(), cost(prices=prices)] if order == "log first" else [cost(prices=prices), log()]
    llm = build_pipeline([*layers, cache()], provider=fake(["Hi there"]), model="m")
    for _ in range(2):
        await llm.complete("hello")

    asked, hit = events[1], events[3]
    assert (asked["cost"], asked["attempts"]) == ("0.000005", 1)
    assert "cached" not in asked
    assert (hit["cached"], hit["attempts"], hit["status"]) == (True, 0, "completed")
    assert "cost" not in hit or float(hit["cost"]) == 0


async def test_a_standard_logger_that_does_not_listen_is_told_nothing(caplog):
    logger = logging.getLogger("scallion.tests.quiet")
    logger.setLevel(logging.ERROR)
    await pipeline(fake(), logger=logger).complete("hello")

    assert not caplog.records


async def test_a_failed_over_call_says_who_answered(events):
    llm = pipeline(fake([ServerError("down"), "Hi"]), fallback(["other"]))
    await llm.complete("hello")

    assert events[1]["log_level"] == "warning"
    assert (events[1]["model"], events[1]["answered_by"]) == ("m", "other")


async def test_a_broken_off_stream_is_a_warning(events):
    async def provider(request):
        return Response.streaming(Source([StreamChunk.of("a")], [StreamChunk.of("b")]), request)

    async with pipeline(provider).stream("hello") as stream:
        async for _ in stream:
            break

    assert (events[1]["log_level"], events[1]["status"]) == ("warning", "closed")


async def test_context_variables_of_the_caller_appear(events):
    with structlog.contextvars.bound_contextvars(request_id="r1"):
        await pipeline(fake()).complete("hello")

    assert [event["request_id"] for event in events] == ["r1", "r1"]


async def test_context_variables_of_the_caller_appear_also_of_a_stream_that_was_dropped(events):
    with structlog.contextvars.bound_contextvars(request_id="r1"):
        stream = pipeline(fake()).stream("hello")
        await anext(stream)
    thread = threading.Thread(target=lambda held: held.clear(), args=([stream],))
    del stream
    thread.start()
    thread.join()
    del thread
    gc.collect()

    assert [(e.get("status"), e["request_id"]) for e in events] == [
        (None, "r1"), ("abandoned", "r1")
    ]  # fmt: skip


async def test_structlogs_own_configuration_is_used_and_left_alone():
    out = io.StringIO()
    before = structlog.get_config()
    try:
        structlog.configure(
            processors=[structlog.processors.add_log_level, structlog.processors.JSONRenderer()],
            logger_factory=structlog.WriteLoggerFactory(out),
        )
        configured = structlog.get_config()
        await pipeline(fake(["Hi"])).complete("hello")
        assert structlog.get_config() == configured
    finally:
        structlog.configure(**before)

    started, settled = map(json.loads, out.getvalue().splitlines())
    assert (started["level"], settled["level"], settled["status"]) == ("debug", "info", "completed")


async def test_structlog_over_the_standard_library_filters_by_its_levels(caplog):
    logger = structlog.wrap_logger(
        logging.getLogger("app"),
        processors=[structlog.stdlib.filter_by_level, structlog.stdlib.render_to_log_kwargs],
        wrapper_class=structlog.stdlib.BoundLogger,
    )
    with caplog.at_level(logging.INFO, logger="app"):
        await pipeline(fake(["Hi"]), logger=logger).complete("hello")

    (settled,) = caplog.records
    assert (settled.message, settled.status) == ("call settled", "completed")


@pytest.mark.parametrize("mode", ["complete", "stream"])
async def test_an_asynchronous_bound_logger_is_used_without_waiting(mode):
    logged = []
    logger = structlog.wrap_logger(
        structlog.PrintLogger(io.StringIO()),
        processors=[lambda logger, name, event: logged.append((name, event)) or "x"],
        wrapper_class=structlog.stdlib.AsyncBoundLogger,
    )
    llm = pipeline(fake(["Hi"]), logger=logger)
    await (llm.complete("hello") if mode == "complete" else llm.stream("hello").collect())

    assert [(name, event["event"]) for name, event in logged] == [
        ("debug", "call started"), ("info", "call settled")
    ]  # fmt: skip


@pytest.mark.parametrize("mode", ["complete", "stream"])
async def test_a_logger_or_redactor_that_fails_does_not_fail_the_call(mode, caplog):
    llm = pipeline(fake(["Hi"]), prompts=True, redact=lambda text: 1 / 0)
    answer = await (
        llm.complete("secret") if mode == "complete" else llm.stream("secret").collect()
    )

    assert answer.text == "Hi"
    assert "ZeroDivisionError" in caplog.text
    assert "secret" not in caplog.text


async def test_nothing_is_configured_by_making_or_using_the_layer():
    root = logging.getLogger()
    before = (root.level, list(root.handlers), structlog.is_configured())
    await pipeline(fake(["Hi"])).complete("hello")

    assert (root.level, list(root.handlers), structlog.is_configured()) == before


async def test_a_standard_logger_works_too(caplog):
    logger = logging.getLogger("app")
    with caplog.at_level(logging.DEBUG, logger="app"):
        await pipeline(fake(["Hi"]), logger=logger).complete("hello")

    started, settled = caplog.records
    assert (started.levelname, settled.levelname) == ("DEBUG", "INFO")
    assert settled.getMessage().startswith("call settled id=")
    assert settled.scallion["status"] == "completed"


async def test_the_level_can_be_chosen(events):
    await pipeline(fake(), level="debug").complete("hello")

    assert events[1]["log_level"] == "debug"
    with pytest.raises(ValueError, match="unknown level 'loud'"):
        log(level="loud")
