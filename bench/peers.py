"""What a user would pick instead, each written as its own documentation would have it."""

from __future__ import annotations

import os
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from multiprocessing import Pool
from typing import Any

from bench.data import Library
from bench.timing import Report

WORKERS = 2
Run = Callable[[Library, Counter[str]], object]


def available(report: Report) -> Iterator[tuple[str, Run]]:
    """List those that are installed; say which are not."""
    yield "multiprocessing.Pool, a Counter for each file", pool
    try:
        import dask.bag  # noqa: F401
    except ImportError:
        report.note("Dask is not installed: pip install -e '.[bench]'")
    else:
        yield "Dask bag, two processes", dask_bag
    try:
        import pyspark  # noqa: F401
    except ImportError:
        report.note("PySpark is not installed: pip install -e '.[bench]'")
    else:
        yield "PySpark RDD, local[2], without its start", spark()


def count(file: str) -> Counter[str]:
    """Count one file's words."""
    with open(file, encoding="utf-8") as text:
        return Counter(text.read().split())


def pool(library: Library, right: Counter[str]) -> None:
    """A pool of processes."""
    total = Counter[str]()
    with Pool(WORKERS) as workers:
        for counts in workers.imap_unordered(count, library.all):
            total.update(counts)
    assert total == right


def dask_bag(library: Library, right: Counter[str]) -> None:
    """Dask's own word count."""
    import dask
    import dask.bag

    with dask.config.set(scheduler="processes", num_workers=WORKERS):
        counts = dask.bag.read_text(library.all).str.split().flatten().frequencies()
        top = counts.topk(10, key=1).compute()
    assert dict(top).items() <= right.items()


def spark_context() -> Any:
    """PySpark's context on as many threads as others have workers."""
    from pyspark import SparkConf, SparkContext

    os.environ.setdefault("SPARK_LOCAL_IP", "127.0.0.1")
    os.environ.setdefault("PYSPARK_PYTHON", sys.executable)  # its workers find what this one does
    conf = (
        SparkConf()
        .setMaster(f"local[{WORKERS}]")
        .set("spark.ui.enabled", "false")
        .set("spark.ui.showConsoleProgress", "false")
        .set("spark.driver.memory", "4g")
    )
    context = SparkContext.getOrCreate(conf.set("spark.driver.bindAddress", "127.0.0.1"))
    context.setLogLevel("ERROR")
    return context


def spark() -> Run:
    """PySpark's own word count, on a context that is already there."""
    from operator import add

    context = spark_context()

    def run(library: Library, right: Counter[str]) -> None:
        lines = context.union([context.textFile(",".join(library.files))] * library.times)
        counts = lines.flatMap(str.split).map(lambda word: (word, 1)).reduceByKey(add)
        top = counts.top(10, key=lambda pair: pair[1])
        assert dict(top).items() <= right.items()

    return run
