"""Which tokens of a usage are of which kind: each is billed once, and at its own rate."""

from __future__ import annotations

from decimal import Decimal

import pytest

from scallion.costs import PriceTable, Rates, price
from support.usages import usage

KINDS = [
    "input", "cache_read", "cache_write", "cache_write_1h", "input_audio", "input_image",
    "output", "reasoning", "output_audio", "output_image",
]  # fmt: skip
TEXT_ONLY = {"input": 1, "output": 1, "reasoning": 1, "cache_read": 1, "cache_write": 1}
# Of what is read from a cache one sum is told: its digits say how much of it was sound and images.
SOUND, IMAGES = 1_000, 1_000_000
TABLE = PriceTable(
    {
        "all": Rates(
            **dict.fromkeys(KINDS, Decimal(1)),
            cache_read_audio=Decimal(SOUND),
            cache_read_image=Decimal(IMAGES),
            us=Decimal(2),
        ),
        "text": Rates(**{kind: Decimal(rate) for kind, rate in TEXT_ONLY.items()}),
    }
)


def tokens(model, used, **how):
    """How many tokens of each kind are billed, and whether that is exact."""
    found = price(model, used, prices=TABLE, **how)
    assert found.total == sum(found.breakdown.values())
    return {kind: int(part * 1_000_000) for kind, part in found.breakdown.items()}, found.exact


def test_each_kind_is_counted_once():
    inside = {"audio_tokens": 10, "image_tokens": 20, "cache_write_tokens": 9,
              "cache_write_1h_tokens": 4}  # fmt: skip
    made = {"reasoning_tokens": 5, "audio_tokens": 6, "image_tokens": 7}
    assert tokens("all", usage(100, 50, inside=inside, made=made)) == (
        {
            "input": 61, "cache_write": 5, "cache_write_1h": 4, "input_audio": 10,
            "input_image": 20, "output": 32, "reasoning": 5, "output_audio": 6, "output_image": 7,
        },
        True,
    )  # fmt: skip


@pytest.mark.parametrize("details", [{}, {"cached_tokens": 0}, {"reasoning_tokens": None}])
def test_what_details_do_not_say_is_none(details):
    used = usage(100, 50, inside=details, made=details)
    assert tokens("all", used) == ({"input": 100, "output": 50}, True)


def test_kinds_without_a_rate_of_their_own_are_text():
    details = {"audio_tokens": 10, "image_tokens": 20}
    used = usage(100, 50, inside=details, made=details)
    assert tokens("text", used) == ({"input": 100, "output": 50}, True)
    read = usage(100, 0, inside={**details, "cached_tokens": 90})
    assert tokens("text", read) == ({"input": 10, "cache_read": 90}, True)


@pytest.mark.parametrize(
    ("prompt", "inside", "billed"),
    [
        # As much as can be is fresh, and dear: nothing of the 10 that were read need be sound.
        ((100, 10), {"audio": 10, "image": 10}, {"input": 70, "audio": 10, "image": 10, "read": 10}),
        # 60 read and 50 of sound are 10 more than there are, so these are both.
        ((100, 60), {"audio": 50}, {"audio": 40, "read": 50 + 10 * SOUND}),
        # 30 are counted twice: 20 of sound, and 10 of images.
        (
            (100, 60), {"audio": 20, "image": 50},
            {"image": 40, "read": 30 + 20 * SOUND + 10 * IMAGES},
        ),
        # What was written takes room as well.
        (
            (100, 30), {"audio": 40, "image": 30, "write": 20},
            {"audio": 20, "image": 30, "write": 20, "read": 10 + 20 * SOUND},
        ),
        # No more can be sound than was read.
        ((90, 5), {"audio": 60, "image": 30}, {"audio": 55, "image": 30, "read": 5 * SOUND}),
        # Nor can images be more than the rest of it.
        (
            (85, 15), {"audio": 10, "image": 80},
            {"image": 75, "read": 10 * SOUND + 5 * IMAGES},
        ),
        # Nor more than there are.
        ((20, 15), {"image": 3, "audio": 2}, {"audio": 2, "image": 3, "read": 15}),
        ((20, 20), {"image": 3}, {"read": 17 + 3 * IMAGES}),
    ],
)  # fmt: skip
def test_of_what_was_read_from_a_cache_as_little_as_can_be_was_sound_or_images(
    prompt, inside, billed
):
    names = {"audio": "audio_tokens", "image": "image_tokens", "write": "cache_write_tokens"}
    kinds = {"audio": "input_audio", "image": "input_image", "write": "cache_write",
             "read": "cache_read", "input": "input"}  # fmt: skip
    count, read = prompt
    details = {names[name]: many for name, many in inside.items()}
    found, exact = tokens("all", usage(count, 0, inside={**details, "cached_tokens": read}))
    assert found == {kinds[name]: many for name, many in billed.items()}
    assert not exact  # no usage says which


@pytest.mark.parametrize(
    ("total", "output", "reasoning", "exact"),
    [
        (150, 45, 5, True),  # inside the completion, as OpenAI counts it
        (155, 50, 5, True),  # beside it, as xAI does
        (160, 45, 5, True),  # a total that says something else says nothing
    ],
)
def test_reasoning_is_inside_the_completion_unless_the_total_says_otherwise(
    total, output, reasoning, exact
):
    used = usage(100, 50, made={"reasoning_tokens": 5}, total_tokens=total)
    billed = {"input": 100, "output": output, "reasoning": reasoning}
    assert tokens("all", used) == (billed, exact)


def test_what_only_the_total_counts_is_thought_to_be_reasoning():
    for hidden in (1, 20):
        used = usage(100, 50, total_tokens=150 + hidden)
        billed = {"input": 100, "output": 50, "reasoning": hidden}
        assert tokens("all", used) == (billed, False)


def test_reasoning_can_be_all_of_a_completion_and_one_token_of_it():
    for thought, said in ((50, {}), (49, {"output": 1}), (1, {"output": 49})):
        used = usage(100, 50, made={"reasoning_tokens": thought})
        assert tokens("all", used) == ({"input": 100, **said, "reasoning": thought}, True)


def test_inference_confined_to_the_us_has_a_factor_or_is_not_exact():
    used = usage(100, 50, inference_geo="us")
    assert tokens("all", used) == ({"input": 200, "output": 100}, True)
    assert tokens("text", used) == ({"input": 100, "output": 50}, False)


@pytest.mark.parametrize(
    ("prompt", "rate"), [(100, 1), (101, 20), (200, 20), (201, 300), (300, 300), (301, 4000)]
)
def test_a_rate_has_as_many_steps_as_it_says_each_above_a_prompts_length(prompt, rate):
    steps = (1, 100, 20, 200, 300, 300, 4000)
    table = PriceTable({"m": Rates(input=steps, output=1)})
    found = price("m", usage(prompt), prices=table)
    assert found.total * 1_000_000 == prompt * rate
