"""Fits the coefficients of data/tokens.json to recorded requests.

    python tests/tools/fit_tokens.py FOLDER [OUTPUT]

FOLDER holds `anthropic_messages.jsonl` and `openrouter.jsonl`: a recorded request a line, with
`reported_input_tokens`. Printed is how well each part of them is predicted by a fit to the others,
where the parts are folders of recordings: what stands beside each other is alike.

The estimate for Claude is linear in its coefficients, so each column of the regression is the
estimate with one coefficient 1 and the others 0. Errors count relative to the request's size,
outliers by their distance and not its square, and alike requests share one weight. Each coefficient
is drawn towards a prior, so that a fold without any request of a generation still has one.
"""

from __future__ import annotations

import json
import math
import sys
from collections import Counter, defaultdict
from pathlib import Path
from statistics import median
from typing import Any

import msgspec

from scallion._tokens_claude import ClaudeCounter
from scallion._tokens_other import Around, OtherCounter, family_of
from scallion._tokens_text import encoder
from scallion._tokens_weights import Coefficients, generation

DATA = Path(__file__).parents[2] / "pipeline" / "data" / "tokens.json"

# What a coefficient is drawn to, and how many typical requests weigh as much as that.
PRIORS: dict[str, tuple[float, float]] = {
    "common": (1.0, 1.0),
    "usual": (1.05, 1.0),
    "rare": (1.7, 1.0),
    "usual_name": (1.05, 1.0),
    "rare_name": (1.7, 1.0),
    "digits": (1.2, 1.0),
    "mark": (1.0, 1.0),
    "marks": (1.3, 1.0),
    "blank": (1.0, 1.0),
    "other": (2.0, 1.0),
    "system": (1.0, 0.1),
    "call": (36.0, 0.01),
    "argument": (9.0, 0.05),
    "thinking": (28.0, 0.01),
    "interleaved": (150.0, 0.01),
    "tool": (1.0, 5.0),
    "schema": (80.0, 0.01),
}
# While a tool may, and while it must be used. Anthropic, "Tool use: pricing", for generations to 4;
# later ones as recorded.
TOOLS: dict[str, tuple[float, float]] = {
    "haiku-3": (264, 340),
    "sonnet-3": (294, 261),
    "opus-3": (530, 281),
    "4": (315, 313),
    "4.5": (497, 590),
    "4.7": (734, 884),
    "5": (445, 595),
}
NEWER = 1.15


def rows_of(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def request_of(row: dict[str, Any]) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """The messages and params of a recorded request to Anthropic; its own shapes are understood."""
    params = {**row["params"], "tools": row["tools"], "system": row["system"]}
    if row.get("anthropic_beta"):
        params["extra_headers"] = {"anthropic-beta": row["anthropic_beta"]}
    return row["messages"], params


def unit(name: str | None) -> Coefficients:
    """All coefficients 0, but the one called `name` 1; `tools:4.5:1` is one of a generation's."""
    flat = dict.fromkeys((*PRIORS, "newer", "serial"), 0.0)
    tools = {each: [0.0, 0.0] for each in TOOLS}
    flat["newer"] = 1.0
    if name in flat:
        flat[name] = 1.0
    elif name is not None:
        _, each, forced = name.split(":")
        tools[each][int(forced)] = 1.0
    return msgspec.convert(flat | {"tools": tools}, Coefficients)


class Regression:
    """The recorded requests as a matrix."""

    def __init__(self, rows: list[dict[str, Any]]) -> None:
        self.rows = rows
        self.names = [*PRIORS, *(f"tools:{each}:{forced}" for each in TOOLS for forced in (0, 1))]
        self.priors = [self._prior(name) for name in self.names]
        self.offsets = self._estimates(None)
        columns = [self._estimates(name) for name in self.names]
        self.features = [
            [column[i] - self.offsets[i] for column in columns] for i in range(len(rows))
        ]
        self.truths = [float(row["reported_input_tokens"]) for row in rows]
        alike = Counter(map(self._likeness, range(len(rows))))
        self.weights = [
            1 / max(self.truths[i], 25) / alike[self._likeness(i)] ** 0.7 for i in range(len(rows))
        ]

    def _prior(self, name: str) -> tuple[float, float]:
        if name in PRIORS:
            return PRIORS[name]
        _, each, forced = name.split(":")
        return TOOLS[each][int(forced)], 0.001

    def _estimates(self, name: str | None) -> list[float]:
        given = unit(name)
        counters: dict[str, ClaudeCounter] = {}
        found = []
        for row in self.rows:
            model = row["model"]
            if model not in counters:
                counters[model] = ClaudeCounter(encoder("o200k_base"), model, given)
            found.append(counters[model].estimate(*request_of(row)).tokens)
        return found

    def _likeness(self, i: int) -> tuple[Any, ...]:
        return folder_of(self.rows[i]), round(math.log(self.truths[i]) * 8)

    def solve(self, chosen: list[int]) -> list[float]:
        """The coefficients that fit the chosen rows best."""
        size = len(self.names)
        trust = [1.0] * len(self.rows)
        solution: list[float] = []
        for _ in range(15):
            matrix = [[0.0] * (size + 1) for _ in range(size)]
            for k, (value, strength) in enumerate(self.priors):
                penalty = (strength * 0.05) ** 2
                matrix[k][k] += penalty
                matrix[k][size] += penalty * value
            for i in chosen:
                weight = (self.weights[i] * trust[i]) ** 2
                features, wanted = self.features[i], self.truths[i] - self.offsets[i]
                filled = [k for k in range(size) if features[k]]
                for k in filled:
                    line, scaled = matrix[k], weight * features[k]
                    for j in filled:
                        line[j] += scaled * features[j]
                    line[size] += scaled * wanted
            solution = gauss(matrix)
            for i in chosen:
                error = abs(self.predict(i, solution) / self.truths[i] - 1)
                trust[i] = math.sqrt(min(1.0, 0.03 / max(error, 1e-9)))
        return solution

    def predict(self, i: int, solution: list[float]) -> float:
        return self.offsets[i] + sum(map(float.__mul__, self.features[i], solution))


def gauss(matrix: list[list[float]]) -> list[float]:
    """Solve a linear system given with its right side as the last column."""
    size = len(matrix)
    for k in range(size):
        pivot = max(range(k, size), key=lambda row: abs(matrix[row][k]))
        matrix[k], matrix[pivot] = matrix[pivot], matrix[k]
        for row in range(size):
            if row != k and matrix[row][k]:
                factor = matrix[row][k] / matrix[k][k]
                for column in range(k, size + 1):
                    matrix[row][column] -= factor * matrix[k][column]
    return [matrix[k][size] / matrix[k][k] for k in range(size)]


def folder_of(row: dict[str, Any]) -> str:
    source = row["source"]
    return f"{source['repo']}/{source['path'].rpartition('/')[0]}"


def kind_of(row: dict[str, Any]) -> str:
    return "tools" if row["tools"] else "text"


def report(title: str, errors: dict[str, list[float]]) -> None:
    print(title)
    for kind, found in sorted(errors.items()):
        sizes = sorted(map(abs, found))
        p95 = sizes[min(len(sizes) - 1, int(len(sizes) * 0.95))]
        print(f"  {kind}: {len(sizes)} requests, median {median(sizes):.1%}, p95 {p95:.1%}")


def fit_claude(rows: list[dict[str, Any]], routed: list[dict[str, Any]]) -> dict[str, Any]:
    """All coefficients of the estimate for Claude, the last from requests over OpenRouter."""
    classic = Regression([row for row in rows if not generation(row["model"]).newer])
    everything = list(range(len(classic.rows)))
    folders = sorted({folder_of(row) for row in classic.rows})
    held_out: dict[str, list[float]] = defaultdict(list)
    for fold in range(8):
        mine = [i for i in everything if folders.index(folder_of(classic.rows[i])) % 8 == fold]
        solution = classic.solve([i for i in everything if i not in set(mine)])
        for i in mine:
            error = classic.predict(i, solution) / classic.truths[i] - 1
            held_out[kind_of(classic.rows[i])].append(error)
    report("Claude, predicted from the other folders of recordings", held_out)

    solution = dict(zip(classic.names, classic.solve(everything), strict=True))
    report(
        "Claude, fitted",
        {
            kind: [
                classic.predict(i, list(solution.values())) / classic.truths[i] - 1
                for i in everything
                if kind_of(classic.rows[i]) == kind
            ]
            for kind in ("text", "tools")
        },
    )
    coefficients: dict[str, Any] = {name: round(solution[name], 3) for name in PRIORS}
    coefficients["tools"] = {
        each: [round(solution[f"tools:{each}:{forced}"], 1) for forced in (0, 1)] for each in TOOLS
    }
    fit_newer([row for row in rows if generation(row["model"]).newer], coefficients)
    coefficients["serial"] = fit_serial(routed, coefficients)
    return coefficients


def fit_serial(rows: list[dict[str, Any]], coefficients: dict[str, Any]) -> float:
    """How much less the requests take that allow one tool call at a time, in the middle."""
    given = msgspec.convert({**coefficients, "serial": 0.0}, Coefficients)
    more = []
    for row in rows:
        params = {**row["params"], "tools": row["tools"]}
        if "claude" in row["model"] and row["tools"] and params.get("parallel_tool_calls") is False:
            counter = ClaudeCounter(encoder("o200k_base"), row["model"].replace(".", "-"), given)
            said = counter.estimate(row["messages"], params).tokens
            more.append(said - row["reported_input_tokens"])
    return round(median(more), 1)


def fit_newer(rows: list[dict[str, Any]], coefficients: dict[str, Any]) -> None:
    """Add how many tokens the newer tokenizer makes of one of the classic one, and its prompts.

    There are few recordings of it: the factor is drawn towards `NEWER`, and a prompt is the middle
    of what the factor leaves over.
    """
    best, best_loss = coefficients, math.inf
    for percent in range(95, 136):
        tools = dict(coefficients["tools"])
        given = {**coefficients, "newer": percent / 100, "serial": 0.0, "tools": tools}
        left: dict[tuple[str, int], list[float]] = defaultdict(list)
        errors = []
        for _ in range(2):  # once to find the prompts, once with them
            errors = []
            for row in rows:
                counter = ClaudeCounter(
                    encoder("o200k_base"), row["model"], msgspec.convert(given, Coefficients)
                )
                missing = row["reported_input_tokens"] - counter.estimate(*request_of(row)).tokens
                errors.append(missing / row["reported_input_tokens"])
                if row["tools"]:
                    choice = (row["params"].get("tool_choice") or {}).get("type")
                    forced = int(choice in ("any", "tool"))
                    left[generation(row["model"]).name, forced].append(missing)
            for (name, forced), missed in left.items():
                prompts = list(given["tools"][name])
                prompts[forced] = round(prompts[forced] + median(missed), 1)
                given["tools"][name] = prompts
            left.clear()
        loss = sum(min(abs(error), 0.2) for error in errors) + abs(percent / 100 - NEWER) * 3
        if loss < best_loss:
            best, best_loss = given, loss
    coefficients.update(best)
    print(f"  newer tokenizer: {len(rows)} requests, factor {best['newer']}")


def fit_others(rows: list[dict[str, Any]]) -> dict[str, dict[str, float]]:
    """What each family of models adds to the text of a conversation, and to its tools."""
    found: dict[str, dict[str, list[tuple[float, float]]]] = defaultdict(lambda: defaultdict(list))
    bare = Around(text=0, most=0, tools=0, schema=0)
    per_token = Around(text=0, most=0, tools=0, schema=1)
    for row in rows:
        family = family_of(row["model"])
        if family is None or row["params"].get("response_format"):
            continue
        request = row["messages"], {**row["params"], "tools": row["tools"]}
        text, whole = (
            OtherCounter(encoder("o200k_base"), row["model"], each).estimate(*request).tokens
            for each in (bare, per_token)
        )
        left = row["reported_input_tokens"] - text
        found[family][kind_of(row)].append((left, whole - text))

    fitted = {}
    for family, kinds in sorted(found.items()):
        plain = [left for left, _ in kinds["text"]] or [0]
        around = {"text": round(median(plain)), "most": round(max(plain))}
        if kinds["tools"]:
            around |= fit_tools([(left - around["text"], size) for left, size in kinds["tools"]])
        fitted[family] = around
        print(f"  {family}: {len(plain)} without and {len(kinds['tools'])} with tools: {around}")
    return fitted


def fit_tools(rows: list[tuple[float, float]]) -> dict[str, float]:
    """A constant and a factor on the size of the tools' JSON, which is drawn towards 1."""

    def middle(percent: int) -> float:
        return median(left - size * percent / 100 for left, size in rows)

    def loss(percent: int) -> float:
        errors = (left - size * percent / 100 - middle(percent) for left, size in rows)
        return sum(map(abs, errors)) + abs(percent - 100) / 2

    best = min(range(20, 121, 5), key=loss)
    return {"tools": round(middle(best)), "schema": best / 100}


def main() -> None:
    folder = Path(sys.argv[1])
    output = Path(sys.argv[2]) if len(sys.argv) > 2 else DATA
    data = {
        "about": "Fitted by tests/tools/fit_tokens.py to recorded requests; no text of them is kept.",
        "claude": fit_claude(
            rows_of(folder / "anthropic_messages.jsonl"), rows_of(folder / "openrouter.jsonl")
        ),
        "others": fit_others(rows_of(folder / "openrouter.jsonl")),
    }
    output.write_text(json.dumps(data, indent=1) + "\n")


if __name__ == "__main__":
    main()
