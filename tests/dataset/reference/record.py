"""``python -m tests.dataset.reference.record``: ask PySpark, and write down what it says.

It needs PySpark and Java (`pip install -e '.[bench]'`, and a JRE).  Review is the diff.
"""

from __future__ import annotations

import contextlib
import inspect
import json
import os
import re
import sys
from pathlib import Path
from typing import Any

from tests.dataset.reference.answers import answer

HERE = Path(__file__).parent
PAGE = HERE / "pyspark.json"
NAME = re.compile(r"""("[^"]*"|'[^']*')|\b[a-z]+(?:_[a-z]+)+\b""")


def corners() -> list[str]:
    """Return the expressions."""
    lines = (HERE / "corners.txt").read_text(encoding="utf-8").splitlines()
    return [line for line in lines if line and not line.startswith("#")]


def camel(expression: str) -> str:
    """Say an expression as PySpark has it, leaving texts alone.

    >>> camel('ctx.parallelize("a_b").sort_by_key(num_partitions=2)')
    'ctx.parallelize("a_b").sortByKey(numPartitions=2)'
    """

    def said(found: re.Match[str]) -> str:
        if found[1] or found[0] == "is_cached":  # which PySpark has like that
            return found[0]
        return re.sub("_(.)", lambda letter: letter[1].upper(), found[0])

    return NAME.sub(said, expression)


def snake(name: str) -> str:
    """Say a name of PySpark as we have it.

    >>> snake("countByKey"), snake("emptyRDD")
    ('count_by_key', 'empty_rdd')
    """
    return re.sub(r"(?<=[a-z0-9])([A-Z])", r"_\1", name).lower()


def signatures(kind: type) -> dict[str, Any]:
    """Return the public names of a class: the arguments of its methods and their defaults, None for what is no method."""
    found: dict[str, Any] = {}
    for name in sorted(dir(kind)):
        member = inspect.getattr_static(kind, name)
        if name.startswith("_") or name.isupper():
            continue
        found[snake(name)] = None
        if callable(member):
            with contextlib.suppress(TypeError, ValueError):
                found[snake(name)] = [[snake(one.name), default(one)] for one in arguments(member)]
    return found


def arguments(function: Any) -> list[inspect.Parameter]:
    """Return what a method takes besides `self`."""
    return [one for one in inspect.signature(function).parameters.values() if one.name != "self"]


def default(argument: inspect.Parameter) -> str:
    """Show the default of an argument; whatever has no plain face is only said to be there."""
    if argument.default is inspect.Parameter.empty:
        return "needed" if argument.kind is not inspect.Parameter.VAR_POSITIONAL else "any number"
    plain = argument.default is None or isinstance(argument.default, bool | int | float | str)
    return repr(argument.default) if plain else "given"


def main() -> None:
    """Ask all questions."""
    import pyspark

    os.environ["PYSPARK_PYTHON"] = sys.executable
    settings = {"spark.ui.enabled": "false", "spark.default.parallelism": "2", "spark.task.maxFailures": "1"}
    conf = pyspark.SparkConf().setMaster("local[2]").setAll(list(settings.items()))
    with pyspark.SparkContext(conf=conf) as ctx:
        ctx.setLogLevel("OFF")
        said = {expression: answer(camel(expression), ctx) for expression in corners()}
    known = {"version": pyspark.__version__, "answers": said}
    known |= {"RDD": signatures(pyspark.RDD), "SparkContext": signatures(pyspark.SparkContext)}
    PAGE.write_text(json.dumps(known, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
