"""The documentation does what it says: every Python snippet runs, and prints what the page shows.

A page's snippets run from top to bottom in one namespace, with `await` at the top level, just as
they would be pasted into `python -m asyncio`. A `text` block that directly follows a `python` block
is what that block prints. Models are answered by a scripted upstream on loopback; the pages need to
know nothing of it, because the SDKs read its address from the environment.
"""

from __future__ import annotations

import ast
import gc
import inspect
import io
import re
import tomllib
from contextlib import redirect_stdout
from dataclasses import dataclass
from itertools import chain, zip_longest
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from scallion import exceptions, middlewares
from scallion._order import RULES
from scallion._prices import default_table
from support.upstream import Received, Reply, Upstream, completion, completion_stream, message
from support.upstream import message_stream as streamed_message

ROOT = Path(__file__).parents[2]
PAGES = sorted(path.relative_to(ROOT) for path in [*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")])
FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\]\((?!https?://|#)([^)#\s]+)")


SESSIONS: list[dict[str, object]] = []
"""A page's names live until the interpreter ends, as in a session: that closes what it left open."""


@dataclass
class Block:
    language: str
    text: str
    line: int
    """Where its first line stands in the page, counted from 1."""
    follows: bool
    """Whether nothing but blank lines is between it and the block before."""


def blocks(page: Path) -> list[Block]:
    text = (ROOT / page).read_text("utf-8")
    found = []
    end = 0
    for fence in FENCE.finditer(text):
        line = text.count("\n", 0, fence.start(2)) + 1
        follows = bool(found) and not text[end : fence.start()].strip()
        found.append(Block(fence[1], fence[2], line, follows))
        end = fence.end()
    return found


@pytest.fixture
def upstream(monkeypatch, tmp_path):
    """Every provider's API at one address, where the SDKs look for it.

    In a thread of its own, because snippets without an event loop block the test's.
    """
    with Upstream(default=answer) as upstream:
        for name, path in {"OPENAI": "/v1", "ANTHROPIC": "", "OPENROUTER": "/api/v1"}.items():
            monkeypatch.setenv(f"{name}_API_KEY", "sk-test")
            monkeypatch.setenv(f"{name}_BASE_URL", upstream.url + path)
        monkeypatch.chdir(tmp_path)
        yield upstream
        default_table.cache_clear()  # a page registers prices of its own
        gc.unfreeze()  # and one freezes all that there is


def answer(request: Received) -> Reply:
    body = request.json
    text = "Because air scatters blue light more than red."
    if request.path == "/v1/messages":
        reply = streamed_message if body.get("stream") else message
    else:
        reply = completion_stream if body.get("stream") else completion
    return reply(text, model=body["model"])


@pytest.mark.parametrize("page", PAGES, ids=str)
async def test_the_snippets_of_a_page_run_and_print_what_it_shows(page, upstream):
    found = blocks(page)
    namespace = {"__name__": "__main__"}
    SESSIONS.append(namespace)
    for block, after in zip_longest(found, found[1:]):
        if block.language != "python":
            continue
        printed = await run(block, page, namespace)
        if after is not None and after.language == "text" and after.follows:
            assert stripped(printed) == stripped(after.text), f"{page}:{after.line}"


async def run(block: Block, page: Path, namespace: dict[str, object]) -> str:
    # The blank lines make tracebacks point into the page.
    source = "\n" * (block.line - 1) + block.text
    flags = ast.PyCF_ALLOW_TOP_LEVEL_AWAIT
    code = compile(source, str(ROOT / page), "exec", flags=flags, dont_inherit=True)
    with redirect_stdout(io.StringIO()) as out:
        result = eval(code, namespace)
        if inspect.isawaitable(result):
            await result
    return out.getvalue()


def stripped(text: str) -> list[str]:
    return [line.rstrip() for line in text.strip().splitlines()]


@pytest.mark.parametrize("page", PAGES, ids=str)
def test_the_links_of_a_page_lead_somewhere(page):
    for target in LINK.findall((ROOT / page).read_text("utf-8")):
        assert (ROOT / page.parent / target).exists(), target


@pytest.mark.parametrize("page", PAGES, ids=str)
def test_every_block_of_a_page_is_one_that_these_tests_see(page):
    # One that is marked `py`, or indented, would never be run.
    found = blocks(page)
    assert {block.language for block in found} <= {"python", "text", "bash", "ini"}
    fences = re.findall(r"^\s*(?:```|~~~)", (ROOT / page).read_text("utf-8"), re.MULTILINE)
    assert len(fences) == 2 * len(found)


def test_there_are_snippets_to_run():
    python = [block for page in PAGES for block in blocks(page) if block.language == "python"]
    assert len(python) >= 10


def test_the_table_of_dependencies_is_that_of_the_project():
    with (ROOT / "pyproject.toml").open("rb") as file:
        project = tomllib.load(file)["project"]
    cells = [
        [cell.strip(" `") for cell in line.split("|")[1:-1]]
        for line in (ROOT / "docs/dependencies.md").read_text("utf-8").splitlines()
        if line.startswith("| `")
    ]
    shown = {row[0]: row[1].replace(" ", "") for row in cells if len(row) == 4}
    due = [re.split(r"(?=[<>])", each, maxsplit=1) for each in project["dependencies"]]
    assert shown == {name: versions.replace(">=", "≥") for name, versions in due}
    assert {row[0] for row in cells if len(row) == 2} == set(project["optional-dependencies"])


def test_what_development_installs_is_pinned_within_the_ranges_of_the_project():
    pinned = dict(
        re.findall(
            r"^([a-z][\w.-]*)==(\S+)", (ROOT / ".ci/dev.txt").read_text("utf-8"), re.MULTILINE
        )
    )
    with (ROOT / "pyproject.toml").open("rb") as file:
        project = tomllib.load(file)["project"]
    due = [*project["dependencies"], *chain(*project["optional-dependencies"].values())]
    for requirement in map(Requirement, due):
        if requirement.name != "scallion":
            assert pinned[canonicalize_name(requirement.name)] in requirement.specifier, requirement


LAYERS = [name for name in middlewares.__all__ if name.islower() and name != "request_key"]


@pytest.mark.parametrize("layer", LAYERS)
def test_the_page_of_a_layer_has_the_shape_of_all_and_lists_every_parameter_with_its_default(layer):
    page = (ROOT / f"docs/{layer}.md").read_text("utf-8")
    headings = re.findall(r"^## (.*)", page, re.MULTILINE)
    assert headings[-5:] == ["Parameters", "On streams", "Telemetry", "Order", "Anti-patterns"]
    table = page.partition("## Parameters")[2].partition("\n#")[0]
    shown = {}
    for line in table.splitlines():
        if line.startswith("| `"):
            names, default = line.split("|")[1:3]
            shown |= dict.fromkeys(re.findall(r"`(\w+)`", names), default.strip(" `"))
    parameters = inspect.signature(getattr(middlewares, layer)).parameters
    assert list(shown) == list(parameters)
    for name, default in shown.items():
        if re.fullmatch(r"[\d.,]+|\".*\"|True|False|None", default):  # others are told in words
            assert ast.literal_eval(default.replace(",", "")) == parameters[name].default, name


def test_the_readme_draws_the_tree_of_errors_as_the_module_does():
    tree = [line.strip() for line in (exceptions.__doc__ or "").splitlines() if "──" in line]
    shown = [
        line.strip()
        for block in blocks(Path("README.md"))
        for line in block.text.splitlines()
        if block.text.startswith("LLMClientError") and "──" in line
    ]
    assert shown == tree


def test_the_order_page_gives_every_rule_in_its_own_words():
    page = (ROOT / "docs/order.md").read_text("utf-8")
    for rule in RULES:
        mode = f'mode="{rule.modes[0]}"' if rule.modes and len(rule.modes) == 1 else ""
        assert f"| `{rule.inner}()` inside `{rule.outer}({mode})` |" in page
    assert page.count("()` inside `") == len(RULES)
