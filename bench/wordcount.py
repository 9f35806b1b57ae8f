"""Word count as users write it, against one plain process and against what they would use instead."""

from __future__ import annotations

import operator
from collections import Counter
from collections.abc import Callable
from functools import partial

import headrace
from bench import peers
from bench.data import Library
from bench.timing import Report, in_turn, middle, one_process

WORKERS = 2
# What is asked of each way to write it, as a multiple of the plain process's speed.
REACH = {
    "flat_map(str.split).map(lambda).reduce_by_key(operator.add)": 1.2,
    "the same with a def for a tokenizer": 1.0,
    "the same with reduce_by_key(lambda a, b: a + b)": 0.95,
    "string values, reduce_by_key(max)": 0.85,
    "flat_map(str.split).count_by_value()": 1.7,
}


def tokens(line: str) -> list[str]:
    """A tokenizer of one's own."""
    return line.split()


def measure(library: Library, report: Report, rounds: int) -> None:
    """Time every way to write it, in turn with the plain process; then the other engines."""
    right = library.expected()
    with headrace.connect(f"local://?workers={WORKERS}", progress=False) as ctx:
        text = ctx.text_file(library.all)
        add, tokenizer, plain, strings, counted = REACH
        jobs: dict[str, Callable[[], object]] = {
            add: lambda: best(text.flat_map(str.split).map(lambda word: (word, 1)).reduce_by_key(operator.add)),
            tokenizer: lambda: best(text.flat_map(tokens).map(lambda word: (word, 1)).reduce_by_key(operator.add)),
            plain: lambda: best(text.flat_map(str.split).map(lambda word: (word, 1)).reduce_by_key(lambda a, b: a + b)),
            strings: lambda: text.flat_map(str.split).map(lambda word: (word, word)).reduce_by_key(max).count(),
            counted: lambda: text.flat_map(str.split).count_by_value(),
        }
        check(ctx, library, right)
        seconds = in_turn(rounds, {"one process": lambda: one_process(library.all), **jobs})
    alone = middle(seconds["one process"])
    report.note(f"one process, Counter(text.split()) for each file: {alone:.2f} s")
    for name, reach in REACH.items():
        report.row(name, alone / middle(seconds[name]), "times its speed", reach=reach)
    ours = middle(seconds[add])
    for name, run in peers.available(report):
        try:
            took = middle(in_turn(max(1, min(3, rounds)), {name: partial(run, library, right)})[name])
        except Exception as error:  # a peer that fails is told, and does not end the measurement
            report.note(
                f"{name}: failed with {type(error).__name__}: {str(error).splitlines()[0] if str(error) else ''}"
            )
            continue
        report.row(f"{name} ({took:.2f} s)", alone / took, f"times its speed; {took / ours:.1f} times our time")


def best(counts: headrace.Dataset[tuple[str, int]]) -> list[tuple[str, int]]:
    """The ten commonest words."""
    return counts.top(10, key=lambda pair: pair[1])


def check(ctx: headrace.Context, library: Library, right: Counter[str]) -> None:
    """Nothing is timed that is not right."""
    pairs = ctx.text_file(library.all).flat_map(str.split).map(lambda word: (word, 1))
    assert pairs.reduce_by_key(operator.add).collect_as_map() == right
    assert ctx.text_file(library.all).flat_map(str.split).count_by_value() == right
