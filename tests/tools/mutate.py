"""Mutation testing of the functions that decide: change one thing in them, and see a test fail.

    python tests/tools/mutate.py                 # all targets, some minutes
    python tests/tools/mutate.py retry budget    # some of them
    python tests/tools/mutate.py --list          # the mutants, without running anything

Each mutant is one change of one function's syntax tree: a comparison, an operator, a constant, a
condition, a statement left out. It runs in a forked child that has everything imported already: the
function gets the mutant's code, and the target's own tests run until the first one fails. Of the target
`leaks`, which the soak judges, only calls and deletions are left out: each is a leak that is planted. What
survives is printed with its line, and the exit code is 1, unless `EXPLAINED` gives the reason why no
test can tell it from the original. Needs a system that forks.
"""

from __future__ import annotations

import argparse
import ast
import copy
import inspect
import os
import signal
import sys
import textwrap
import time
from importlib import import_module
from operator import attrgetter
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parents[2]
PATIENCE = 150
"""Seconds after which a mutant hangs, which is a way to be found."""

UNDONE = "not done"


class Target(NamedTuple):
    """What is mutated.

    Attributes:
        module: Where the functions are that do not say another one, as in `module:function`.
        only: The one kind of change that is made.
    """

    module: str
    functions: tuple[str, ...]
    tests: tuple[str, ...]
    only: str | None = None


TARGETS: dict[str, Target] = {
    "retry": Target(
        "scallion.middlewares._retry",
        ("wait_before_retry", "_wanted"),
        ("tests/unit/test_retry.py",),
    ),
    "retry budget": Target(
        "scallion.middlewares._retry_budget",
        ("RetryBudget.deposit", "RetryBudget.withdraw", "RetryBudget._accrue"),
        ("tests/unit/test_retry.py",),
    ),
    "fallback": Target(
        "scallion.middlewares._fallback",
        ("goes_on", "is_rejected", "request_for", "_plan", "_is_own", "_is_larger"),
        ("tests/unit/test_fallback.py",),
    ),
    "budget": Target(
        "scallion.middlewares._budget",
        ("_price", "_actual", "_key", "_everyone", "_dollars", "_nano"),
        ("tests/unit/test_budget.py",),
    ),
    "worst": Target(
        "scallion.middlewares._worst_case",
        ("worst_case", "as_sent", "stand_ins", "_output_limit", "_writes_cache", "_has"),
        ("tests/unit/test_budget.py",),
    ),
    "charge": Target(
        "scallion.middlewares._charge",
        (
            "charge_of", "_counts_prompt", "_is_whole", "_status_of", "price_of", "price_in_turn",
            "_estimated",
        ),
        ("tests/unit/test_charge.py", "tests/unit/test_cost.py"),
    ),
    "prices": Target(
        "scallion._prices_charge", ("charge", "_either", "_step"), ("tests/unit/test_costs.py", "tests/unit/test_costs_kinds.py")
    ),
    "key": Target(
        "scallion.middlewares._cache_key",
        (
            "request_key", "own_name", "identity_of", "answerers", "chooses_model", "_told", "_given",
            "_canonical_message", "_may_differ", "_without_nulls", "_headers",
        ),
        ("tests/unit/test_cache_key.py", "tests/unit/test_cache.py", "tests/unit/test_cache_scenarios.py"),
    ),
    "order": Target("scallion._order", ("complaints", "asked_twice"), ("tests/unit/test_order.py",)),
    "leaks": Target(
        "scallion.stores._memory",
        (
            "MemoryStore.soon", "MemoryStore._release_lease", "MemoryStore._settle",
            "scallion.stores._accounts:Account.settle", "scallion.stores._accounts:Accounts.settle",
            "scallion.middlewares._cache_shelf:Shelf.finish",
            "scallion._limits:TimeLimit.__exit__", "scallion._limits:ReadLimits.stop",
            # What comes before these in a call's life they make good: unit tests look at that.
            "scallion._response:Response.__del__", "scallion._response:Response._settle",
            "scallion._response:Response._tell", "scallion._response:_close_soon",
            "scallion.providers._event_stream:EventStream.aclose",
            "scallion.providers._loop_client:LoopClient.aclose",
            "scallion.providers._bodies:read_whole",
        ),
        ("tests/hostile/test_soak.py",),
        UNDONE,
    ),
}  # fmt: skip

_WITHOUT_NULLS = "encoded = _encoded({name: v for name, v in message.items() if v is not None})"
_WINDOWS = 'return (mine.context_window or 0) > (other.context_window or float("inf"))'

EXPLAINED: dict[str, str] = {
    "retry wait_before_retry: jitter = draw * min(wait_max, wait_initial * 2.0 ** min(attempt - 1, 60))"
    " | 61": "any bound between that of `wait_max` and that of a float does",
    "fallback request_for: if target.model is None and"
    ' getattr(target.provider, "model", None) is not None: | without operand 1': "the next lines put"
    " the target's own model there",
    **dict.fromkeys(
        [
            f"fallback _is_larger: {_WINDOWS} | without operand 2",
            f"fallback _is_larger: {_WINDOWS} | 1",
        ],
        "every model in the table has a window, and none is of one token",
    ),
    "retry budget RetryBudget.withdraw: if self._balance < 1 - 1e-9: | LtE": "no balance is just that",
    "retry budget RetryBudget._accrue: if self._at is not None and now > self._at: | GtE": "in no time"
    " nothing is earned",
    'charge _status_of: return getattr(attempt.error, "status_code", None) or 0 | 1': "any number"
    " below 400 does",
    "prices charge: if hidden and hidden == read + write:  # Amazon's way: what is cached is beside the"
    " prompt | without operand 1": "it adds nothing",
    **dict.fromkeys(
        [
            f"prices charge: if {some}: | if True"
            for some in ("read", "mixed", "write", "heard or seen", "reasoned", "made is not None")
        ],
        "parts without tokens are left out anyway",
    ),
    "leaks Response.__del__: self._take_primed() | not done": "it is no leak: less is billed",
    "leaks Response._settle: self._recoveries.clear() | not done": "they go with the Response",
    **dict.fromkeys(
        [
            "leaks Response._tell: problems.append(problem) | not done",
            "leaks Response._tell: raise_problems(problems) | not done",
        ],
        "no layer fails there",
    ),
    **dict.fromkeys(
        [
            "leaks _close_soon: await source.aclose() | not done",
            "leaks _close_soon: loop.create_task(close()) | not done",
            "leaks EventStream.aclose: await self._http.aclose() | not done",
            "leaks EventStream.aclose: await self._pieces.aclose()  # type: ignore[attr-defined] | not done",
            "leaks LoopClient.aclose: await self._guard.aclose() | not done",
            "leaks read_whole: await http.aclose() | not done",
        ],
        "the end of a generator, or of aiohttp's own response, closes the connection in its place",
    ),
    "leaks read_whole: size += len(piece) | not done": "a bound that nothing there reaches",
    "leaks Account.settle: self.advance(now) | not done": "no hold gets so old there",
    "leaks Shelf.finish: await self.store.set(name, data, ttl=self._ttl) | not done": "it is no leak:"
    " nothing is kept",
    "leaks Shelf.finish: await self.store.set(name, FAILED, ttl=FAILED_FOR) | not done": "it is no leak"
    " but a delay",
    **dict.fromkeys(
        [
            "leaks Shelf.finish: self._pending.pop(name, None)  # it will never be written | not done",
            "leaks Shelf.finish: self.failed(error, clock) | not done",
        ],
        "the store in memory does not fail",
    ),
    "key request_key: known = memory or Digests(entries=0) | 1": "it is dropped after the call",
    **dict.fromkeys(
        [
            "key request_key: state.update((_encoded if stack else _encoder.encode)(head)) | always",
            "key _given: name: value if type(value) in AS_THEY_ARE else _as_json(value) | never",
            "key _canonical_message: if _may_differ(encoded): | if True",
            f"key _canonical_message: {_WITHOUT_NULLS} | left out",
        ],
        "the key is the same, only later",
    ),
}
"""Mutants that are no different in anything that can be seen: `target function: source line | change` → why."""

COMPARISONS: dict[type[ast.cmpop], tuple[type[ast.cmpop], ...]] = {
    ast.Lt: (ast.LtE, ast.Gt),
    ast.LtE: (ast.Lt,),
    ast.Gt: (ast.GtE, ast.Lt),
    ast.GtE: (ast.Gt,),
    ast.Eq: (ast.NotEq,),
    ast.NotEq: (ast.Eq,),
    ast.Is: (ast.IsNot,),
    ast.IsNot: (ast.Is,),
    ast.In: (ast.NotIn,),
    ast.NotIn: (ast.In,),
}
OPERATORS: dict[type[ast.operator], type[ast.operator]] = {
    ast.Add: ast.Sub,
    ast.Sub: ast.Add,
    ast.Mult: ast.Add,
    ast.Div: ast.Mult,
    ast.Pow: ast.Mult,
    ast.BitOr: ast.BitAnd,
}
OTHER_CALLS = {"min": "max", "max": "min", "any": "all", "all": "any"}


def variants(node: ast.AST) -> Iterator[tuple[str, ast.AST]]:
    """What may stand in a node's place, each with a word on what it is."""
    match node:
        case ast.Compare(ops=[op]):
            for other in COMPARISONS.get(type(op), ()):
                changed = copy.deepcopy(node)
                changed.ops = [other()]
                yield other.__name__, changed
        case ast.BinOp(op=op) if type(op) in OPERATORS:
            changed = copy.deepcopy(node)
            changed.op = OPERATORS[type(op)]()
            yield type(changed.op).__name__, changed
        case ast.BoolOp(values=values):
            for at in range(len(values)):
                rest = [value for n, value in enumerate(values) if n != at]
                smaller = rest[0] if len(rest) == 1 else ast.BoolOp(node.op, rest)
                yield f"without operand {at + 1}", smaller
        case ast.UnaryOp(op=ast.Not(), operand=operand):
            yield "without not", operand
        case ast.IfExp(body=body, orelse=orelse):
            yield "always", body
            yield "never", orelse
        case ast.Constant(value=bool() as value):
            yield str(not value), ast.Constant(not value)
        case ast.Constant(value=int() as value):
            yield str(value + 1), ast.Constant(value + 1)
        case ast.Call(func=ast.Name(id=name)) if name in OTHER_CALLS:
            changed = copy.deepcopy(node)
            changed.func = ast.Name(OTHER_CALLS[name], ast.Load())
            yield OTHER_CALLS[name], changed
        case ast.If() | ast.While():
            for value in (True, False):
                changed = copy.deepcopy(node)
                changed.test = ast.Constant(value)
                yield f"if {value}", changed
        case ast.Return(value=value) if not (value is None or _is_none(value)):
            yield "return None", ast.Return(ast.Constant(None))
        case ast.Assign() | ast.Raise() | ast.Continue():
            yield "left out", ast.Pass()
        case ast.AugAssign() | ast.Delete() | ast.Expr(value=ast.Call() | ast.Await()):
            yield UNDONE, ast.Pass()


def _is_none(value: ast.expr) -> bool:
    return isinstance(value, ast.Constant) and value.value is None


class _Replace(ast.NodeTransformer):
    def __init__(self, number: int, by: ast.AST) -> None:
        self._number, self._by = number, by

    def visit(self, node: ast.AST) -> Any:
        if getattr(node, "number", None) == self._number:
            return ast.copy_location(self._by, node)
        return super().visit(node)


def _as_it_is(function: Any) -> ast.Module:
    tree = ast.parse(textwrap.dedent(inspect.getsource(function)))
    tree.body[0].decorator_list = []  # type: ignore[attr-defined]
    return tree


def mutants(function: Any) -> Iterator[tuple[int, str, ast.Module]]:
    """All mutants of a function: the line in its file, what was changed, and the tree."""
    lines, first = inspect.getsourcelines(function)
    tree = ast.parse(textwrap.dedent("".join(lines)))
    ast.increment_lineno(tree, first - 1)
    definition: Any = tree.body[0]
    definition.decorator_list = []
    for node in ast.walk(tree):
        if isinstance(node, ast.AnnAssign):
            node.annotation = ast.Constant(None)  # that of a local name is never evaluated
    in_strings = {
        inner
        for node in ast.walk(tree)
        if isinstance(node, ast.JoinedStr)
        for inner in ast.walk(node)
    }
    nodes = [node for part in definition.body for node in ast.walk(part)]
    for number, node in enumerate(nodes):
        node.number = number  # type: ignore[attr-defined]
    for number, node in enumerate(nodes):
        if node in in_strings:
            continue  # the words of messages
        for what, other in variants(node):
            changed = _Replace(number, other).visit(copy.deepcopy(tree))
            yield getattr(node, "lineno", 0), what, ast.fix_missing_locations(changed)


def survives(function: Any, tree: ast.Module, tests: tuple[str, ...]) -> bool:
    """Whether the tests pass with the mutant in the function's place."""
    child = os.fork()
    if not child:
        os.setsid()
        quiet = os.open(os.devnull, os.O_RDWR)
        for stream in (0, 1, 2):
            os.dup2(quiet, stream)
        code = 1
        try:
            import pytest

            made: dict[str, Any] = {}
            exec(compile(tree, inspect.getfile(function), "exec"), function.__globals__, made)
            function.__code__ = made[function.__name__].__code__
            # What is imported already cannot be rewritten, which is said in a warning.
            options = ["-x", "-q", "-p", "no:cacheprovider", "-W", "ignore::pytest.PytestWarning"]
            code = int(pytest.main([*options, *tests]))
        finally:
            os._exit(code)
    ends = time.monotonic() + PATIENCE
    while time.monotonic() < ends:
        done, status = os.waitpid(child, os.WNOHANG)
        if done:
            return status == 0
        time.sleep(0.02)
    os.killpg(child, signal.SIGKILL)
    os.waitpid(child, 0)
    return False


def main() -> int:
    """Run the targets that were named. Returns how many mutants survive unexplained, 1 at most."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("targets", nargs="*", choices=[*TARGETS, []], metavar="TARGET")
    parser.add_argument("--list", action="store_true", help="only show the mutants")
    arguments = parser.parse_args()
    os.chdir(ROOT)
    import hypothesis  # noqa: F401 - so that no child has to
    import pytest  # noqa: F401

    unexplained = 0
    for name in arguments.targets or TARGETS:
        target = TARGETS[name]
        count = killed = 0
        for each in target.functions:
            module_name, _, path = each.rpartition(":")
            module = import_module(module_name or target.module)
            function = attrgetter(path)(module)
            changes = [mutant for mutant in mutants(function) if target.only in (None, mutant[1])]
            if not arguments.list and not survives(function, _as_it_is(function), target.tests):
                tests = " ".join(target.tests)
                sys.exit(f"{tests} fail as it is: there is nothing to be learnt from them")
            for line, what, tree in changes:
                count += 1
                label = f"{name} {path} line {line}: {what}"
                reason = f"{name} {path}: {_source(module, line)} | {what}"
                if arguments.list:
                    print(label)
                elif reason in EXPLAINED or not survives(function, tree, target.tests):
                    killed += 1
                else:
                    unexplained += 1
                    print(f"SURVIVES {label}: {_source(module, line)}", flush=True)
        if not arguments.list:
            print(f"{name}: {killed} of {count} mutants found or explained", flush=True)
    return min(unexplained, 1)


def _source(module: Any, line: int) -> str:
    return inspect.getsource(module).splitlines()[line - 1].strip()


if __name__ == "__main__":
    sys.exit(main())
