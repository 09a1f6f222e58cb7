"""What a cassette never says: the secrets of the environment in any form, and what looks like a key."""

import json
import os
import time
from base64 import b64encode, urlsafe_b64encode
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scallion import Response, build_pipeline
from scallion.middlewares._cache import cache
from scallion.stores import cassette
from scallion.stores._cassette_secrets import LONGEST_WORD, cleansed, without_secrets
from support.chunks import answer

SECRET = 'p/w+ d"ä?=\\7'


async def provider(request):
    return Response.completed(answer(f"To {request.messages[-1]['content']}"), request)


async def offline(request):
    raise AssertionError("replay asked the provider")


@pytest.fixture
def path(tmp_path):
    return tmp_path / "tape.json"


async def recorded(path, *asked, **params):
    layer = cache(cassette(path), mode="record")
    await build_pipeline([layer], provider=provider, model="m").complete(*asked, **params)
    return path.read_text()


async def replayed(path, *asked, **params):
    layer = cache(cassette(path), mode="replay")
    return await build_pipeline([layer], provider=offline, model="m").complete(*asked, **params)


@pytest.mark.parametrize(
    "secret",
    [
        "sk-proj-abcdefgh0123456789ijkl", "sk-ant-api03-abcdefgh0123456789", "AIza" + "x" * 35,
        "ghp_" + "a" * 36, "github_pat_" + "a" * 40, "hf_" + "b" * 34, "gsk_" + "c" * 50,
        "xai-" + "d1" * 40, "AKIA" + "ABCD2345" * 2, "xoxb-1234567890-abcdefghijkl",
        "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0In0.dozjgNryP4J3jVmN", "Bearer abcdefghijklmnop1234",
    ],
)  # fmt: skip
async def test_what_looks_like_a_key_is_not_written(path, secret):
    asked = f"My key is {secret}, keep it"
    text = await recorded(path, asked, extra_body={"note": secret, secret: "?"})
    assert secret.removeprefix("Bearer ") not in text
    assert "<secret " in text
    assert await replayed(path, asked, extra_body={"note": secret, secret: "?"})


async def test_secrets_of_the_environment_are_not_written_whatever_they_look_like(
    path, monkeypatch
):
    monkeypatch.setenv("MY_API_KEY", 'quoted"canary')
    monkeypatch.setenv("MY_SECRET", 'longer quoted"canary with tail')
    monkeypatch.setenv("AZURE_KEY", "another canary")
    monkeypatch.setenv("MY_TOKEN", "ten")
    monkeypatch.setenv("MY_NAME", "harmless name")
    asked = 'longer quoted"canary with tail, quoted"canary, another canary, ten, harmless name'
    text = await recorded(path, asked, extra_body={"another canary": "a name"})
    assert not any(part in text for part in ("canary", "longer", "tail"))
    assert "ten, harmless name" in text
    assert text.count("<secret ") == 7  # each in the request, and in the answer


FORMS = {
    "plain": lambda s: s,
    "in a URL": lambda s: quote(s, safe=""),
    "in a path": quote,
    "in a form": quote_plus,
    "in JSON": lambda s: json.dumps({"a": s}),
    "in JSON beyond ASCII": lambda s: json.dumps({"a": s}, ensure_ascii=False),
    "as Base64": lambda s: b64encode(s.encode()).decode(),
    "as Base64 in a URL": lambda s: quote(b64encode(s.encode()).decode(), safe=""),
    "as Basic authorization": lambda s: b64encode(f"user:{s}".encode()).decode(),
    "as a part of Base64": lambda s: b64encode(f"?user:{s}, and more".encode()).decode(),
    "as a part of other Base64": lambda s: urlsafe_b64encode(f"??user:{s}.".encode()).decode(),
}


@pytest.mark.parametrize("form", FORMS)
async def test_nor_are_they_in_any_form_in_which_they_travel(path, monkeypatch, form):
    monkeypatch.setenv("MY_PASSWORD", SECRET)
    said = FORMS[form](SECRET)
    asked = f"What is {said}?"
    text = await recorded(path, asked, user=said)
    content = json.loads(text)["entries"].popitem()[1]["value"]["request"]["messages"][0]["content"]
    assert "<secret " in content
    assert said not in content
    assert (await replayed(path, asked, user=said)).text.startswith("To What is ")


@given(
    st.binary(min_size=8, max_size=40).map(lambda b: b.hex()), st.text(max_size=9), st.text(max_size=9)
)  # fmt: skip
def test_no_base64_leads_back_to_a_secret_whatever_stands_around_it(secret, before, after):
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(os.environ, "MY_TOKEN", secret)
        whole = f"{before}{secret}{after}".encode("utf-8", "replace")
        left = without_secrets(b64encode(whole).decode())
        assert left.count("<secret ") == 1
        around = b64encode(f"{before}{after}".encode("utf-8", "replace"))
        assert len(left) <= len(around) + len("<secret 1234>") + 4


@pytest.mark.parametrize("word", ["postgres", "changeme", "PASSWORD", "Development", "messages", "choices", "content"])  # fmt: skip
async def test_a_secret_that_is_but_a_word_is_left_alone(path, monkeypatch, word):
    monkeypatch.setenv("MY_PASSWORD", word)
    asked = f"What is {word}?"
    assert word in await recorded(path, asked)
    assert (await replayed(path, asked)).text == f"To What is {word}?"


@pytest.mark.parametrize("secret", ["x" * (LONGEST_WORD + 1), "postGres", "postgres1", "post gres"])
def test_what_is_more_than_a_word_is_not(monkeypatch, secret):
    monkeypatch.setenv("MY_PASSWORD", secret)
    assert secret not in without_secrets(f"It is {secret}.")


@pytest.mark.parametrize(
    "secret", ["finish_reason", "1700000000", "entries9", '": {"a": "', "tool_calls"]
)
async def test_no_secret_breaks_the_file(path, monkeypatch, secret):
    monkeypatch.setenv("MY_TOKEN", secret)
    asked = f"What is {secret} and 1700000000?"
    text = await recorded(path, asked, seed=1_700_000_000)
    assert json.loads(text)["format"] == 1
    assert secret not in json.loads(text)["entries"].popitem()[1]["value"]["request"]["messages"]
    assert (await replayed(path, asked, seed=1_700_000_000)).text.startswith("To What is <secret ")


async def test_a_key_of_ones_own_that_has_a_secret_in_it_is_found_again(path, monkeypatch):
    monkeypatch.setenv("MY_TOKEN", "canary-1")
    store = cassette(path)
    await store.set("by canary-1", b"1")
    assert "canary" not in path.read_text()
    assert await store.get("by canary-1") == b"1"
    await store.delete("by canary-1")
    assert store.keys() == []


async def test_different_secrets_have_different_marks(path):
    keys = [f"sk-proj-{letter * 20}1" for letter in "ab"]
    text = await recorded(path, " ".join(keys))
    asked = json.loads(text)["entries"].popitem()[1]["value"]["request"]
    one, other = asked["messages"][0]["content"].replace("<secret ", "").split()
    assert one != other


def test_words_that_begin_like_keys_are_left_alone():
    for text in (
        "sk-learn and scikit-learn pipelines",
        "sk-learn-pipelines-and-more-of-them",
        "hf_x",
        "AKIA is a prefix",
    ):
        assert without_secrets(text) == text


async def test_an_environment_that_is_no_text_disturbs_nobody(path, monkeypatch):
    monkeypatch.setitem(os.environ, "ODD_TOKEN", "not utf-8: \udcff")
    await cassette(path).set("key", b'"value"')
    assert await cassette(path).get("key") == b'"value"'


@pytest.mark.parametrize("value", [None, True, 1.5, [], {}, [{"a": [None, 2**53]}], "text"])
def test_what_holds_no_secret_stays_as_it_is(value):
    assert cleansed(value) == value


@pytest.mark.parametrize(
    "piece",
    ["sk-", "sk-a ", "xai-sk-", "eyJ-", "eyJaaaaaaaaaaa.", "eyJ-aaaaaaaaaaa.eyJ-", "bearer ",
     "Bearer a", "AIza", "ghp_", "hf_", "AKIA", "xoxb-", "x", "-", " ", "secret-12"],
)  # fmt: skip
def test_a_long_text_is_looked_through_in_time_in_proportion_to_its_length(monkeypatch, piece):
    monkeypatch.setenv("MY_TOKEN", "secret-1234")

    def cost(characters):
        text = piece * (characters // len(piece))
        began = time.process_time()
        without_secrets(text)
        return time.process_time() - began

    # Were it quadratic, sixteen times the length would take 256 times as long.
    assert cost(320_000) < 90 * max(cost(20_000), 0.002)
