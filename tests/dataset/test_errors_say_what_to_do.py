"""Every error names what is wrong and ends with what to do."""

from __future__ import annotations

import gzip
import inspect
import pickle
import re
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import headrace
from headrace import errors
from headrace.context import Context
from headrace.errors import HeadraceError

REMEDY = re.compile(
    "(Add|Ask|Call|Check|Choose|Connect|Create|Did|Fetch|Give|Join|Look|Make|Mend|Only|Read|Remove|Return|Take|Use) "
)
CLOSURE, USAGE, KEY, FAILED = errors.ClosureError, errors.UsageError, errors.KeyProblem, errors.TaskFailed


@pytest.fixture(scope="module")
def ctx() -> Iterator[Context]:
    with headrace.connect("inline://?max_result=100KB", progress=False) as context:
        yield context


def closed() -> Context:
    with headrace.connect("inline://", progress=False) as ctx:
        return ctx


LOCK = threading.Lock()
Provoke = Callable[[Context, Path], Any]
CASES: list[tuple[type[BaseException], str, Provoke]] = [
    # Arguments.
    (USAGE, "num_slices cannot be", lambda c, p: c.parallelize([1], 0)),
    (USAGE, "num_slices cannot be", lambda c, p: c.range(3, num_slices=-1)),
    (USAGE, "num_slices cannot be", lambda c, p: c.parallelize([1], "2")),  # type: ignore[arg-type]
    (USAGE, "num cannot be", lambda c, p: c.range(3).take(-1)),
    (USAGE, "num cannot be", lambda c, p: c.range(3).top(1.5)),  # type: ignore[arg-type]
    (USAGE, "num_partitions cannot be", lambda c, p: c.parallelize([(1, 2)]).reduce_by_key(max, 0)),
    (USAGE, "num_partitions cannot be", lambda c, p: c.range(3).sort_by(abs, num_partitions=0)),
    (USAGE, "min_partitions cannot be", lambda c, p: c.text_file(__file__, -1)),
    (USAGE, "not 5. Give it a list", lambda c, p: c.parallelize(5)),  # type: ignore[arg-type]
    (USAGE, "must not be zero", lambda c, p: c.range(1, 2, 0)),
    (USAGE, "'float' object", lambda c, p: c.range(1.5)),  # type: ignore[arg-type]
    (USAGE, "union needs another Dataset", lambda c, p: c.range(1).union([1])),  # type: ignore[arg-type]
    (USAGE, "of the same context", lambda c, p: c.range(1).union(closed().range(1))),
    (USAGE, "of the same context", lambda c, p: c.range(1).key_by(abs).join(closed().range(1).key_by(abs))),
    (USAGE, "unknown encoding: nope", lambda c, p: c.text_file(__file__, encoding="nope")),
    (USAGE, "unknown error handler", lambda c, p: c.text_file(__file__, errors="nope")),
    (USAGE, "'int' object is not iterable", lambda c, p: c.text_file(3)),  # type: ignore[arg-type]
    (USAGE, "expected str", lambda c, p: c.range(1).save_as_text_file(3)),  # type: ignore[arg-type]
    (USAGE, "cannot write to b'x'", lambda c, p: c.range(1).save_as_text_file(b"x")),  # type: ignore[arg-type]
    (USAGE, "cannot write to ''", lambda c, p: c.range(1).save_as_text_file("")),
    (USAGE, "no option 'wrokers'", lambda c, p: headrace.connect("local://?wrokers=2")),
    (errors.ContextClosed, "context is closed", lambda c, p: closed().range(1).count()),
    (errors.ContextClosed, "context is closed", lambda c, p: closed().broadcast(1)),
    # Functions.
    (CLOSURE, "map needs a function, not None", lambda c, p: c.range(1).map(None)),  # type: ignore[arg-type]
    (CLOSURE, "partition_func needs", lambda c, p: c.range(1).key_by(abs).partition_by(2, 3)),  # type: ignore[arg-type]
    (CLOSURE, "reduce needs a function", lambda c, p: c.range(1).reduce(3)),  # type: ignore[arg-type]
    (CLOSURE, "closure 'lock' -> lock", lambda c, p: (lambda lock: c.range(1).map(lambda x: lock))(LOCK)),
    (CLOSURE, "closure 'c' -> Context", lambda c, p: c.range(1).filter(lambda x: c)),
    (CLOSURE, "closure 'd' -> Dataset", lambda c, p: (lambda d: d.flat_map(lambda x: d.collect()))(c.range(1))),
    (
        CLOSURE,
        "closure 'd' -> ['a'] -> [0]",
        lambda c, p: (lambda d: c.range(1).foreach(lambda x: d))({"a": [c.range(2)]}),
    ),
    # Input.
    (errors.InputError, "no file matches", lambda c, p: c.text_file(f"{p}/*.none")),
    (errors.InputError, "No such file", lambda c, p: c.text_file(p / "none")),
    (errors.InputError, "no input files", lambda c, p: c.text_file([])),
    (errors.InputError, "has no files to read", lambda c, p: c.text_file(p)),
    (FAILED, "byte 1 is not utf-8", lambda c, p: c.text_file(written(p, b"a\xff")).count()),
    (FAILED, "is truncated", lambda c, p: c.text_file(written(p, gzip.compress(b"abc")[:-1])).count()),
    (FAILED, "not a sound gzip", lambda c, p: c.text_file(written(p, b"abc")).count()),
    # Output.
    (errors.OutputExists, "exists. Remove it", lambda c, p: c.range(1).save_as_text_file(p)),
    (errors.OutputExists, "is a file", lambda c, p: c.range(1).save_as_text_file(written(p, b""), overwrite=True)),
    (errors.OutputExists, "has folders in it", lambda c, p: c.range(1).save_as_text_file(p.parent, overwrite=True)),
    (errors.OutputError, "cannot be made", lambda c, p: c.range(1).save_as_text_file(written(p, b"") / "out")),
    # Records and keys.
    (errors.ProgramError, "cannot be sent to another process", lambda c, p: c.parallelize([LOCK])),
    (FAILED, "cannot be sent to another process", lambda c, p: c.range(1).map(lambda x: threading.Lock()).collect()),
    (FAILED, "cannot be sent to another process", lambda c, p: c.range(1).map(lambda x: open(__file__)).collect()),  # noqa: SIM115
    (FAILED, "3 is not a pair", lambda c, p: c.parallelize([3]).keys().collect()),  # type: ignore[misc]
    (FAILED, "3 is not a pair", lambda c, p: c.parallelize([3]).map_values(abs).collect()),  # type: ignore[misc]
    (FAILED, "'xyz' is not a pair", lambda c, p: c.parallelize(["xyz"]).flat_map_values(abs).collect()),  # type: ignore[misc]
    (FAILED, "3 is not a pair", lambda c, p: c.parallelize([3]).reduce_by_key(max).collect()),  # type: ignore[misc]
    (FAILED, "3 is not a pair", lambda c, p: c.parallelize([3]).group_by_key().collect()),  # type: ignore[misc]
    (FAILED, "(1, 2, 3) is not a pair", lambda c, p: c.parallelize([(1, 2, 3)]).partition_by().collect()),  # type: ignore[misc]
    (errors.ProgramError, "3 is not a pair", lambda c, p: c.parallelize([3]).collect_as_map()),  # type: ignore[misc]
    (FAILED, "[1] cannot be a key: a list", lambda c, p: c.parallelize([([1], 2)]).reduce_by_key(max).collect()),
    (FAILED, "[1] cannot be a key: a list", lambda c, p: c.parallelize([([1], 2)]).group_by_key().collect()),
    (FAILED, "[1] cannot be a key: a list", lambda c, p: c.parallelize([[1]]).distinct().collect()),
    (FAILED, "in count_by_key", lambda c, p: c.parallelize([({1}, 2)]).count_by_key()),
    (KEY, "[1] cannot be a key: a list", lambda c, p: c.parallelize([([1], 2)]).collect_as_map()),
    (FAILED, "has a hash that differs", lambda c, p: c.parallelize([(Odd(), 2)]).partition_by().collect()),
    (
        FAILED,
        "partition_func returned 'x' for the key 1",
        lambda c, p: c.parallelize([(1, 2)]).partition_by(2, odd).count(),
    ),
    (FAILED, "cannot be put in order", lambda c, p: c.parallelize([1, "a"]).sort_by(same).collect()),
    (FAILED, "cannot be put in order", lambda c, p: c.parallelize([1, "a"]).sort_by(same, num_partitions=1).collect()),
    # Results.
    (errors.NoRecords, "reduce() of a dataset without records", lambda c, p: c.parallelize([]).reduce(max)),
    (errors.NoRecords, "first() of a dataset without records", lambda c, p: c.parallelize([], 3).first()),
    (errors.ResultTooLarge, "come to more than 102,400 bytes", lambda c, p: c.range(100_000).map(str).collect()),
    (FAILED, "unsupported operand", lambda c, p: c.parallelize([1, "a"], 1).sum()),
    (FAILED, "in the program itself", lambda c, p: c.parallelize([1, "a"], 2).top(1)),
    (FAILED, "in the program itself", lambda c, p: c.parallelize([1, 0], 2).reduce(lambda a, b: a // b)),
    # A Dataset is not what it holds.
    (TypeError, "not iterable", lambda c, p: list(c.range(1))),
    (TypeError, "no length", lambda c, p: len(c.range(1))),
    (TypeError, "neither true nor false", lambda c, p: bool(c.range(1))),
]


class Odd:
    """Python's own hash of it is its address."""


def odd(key: int) -> Any:
    return "x"


def same(value: Any) -> Any:
    return value


def written(folder: Path, data: bytes) -> Path:
    path = folder / "input.gz" if data[:2] == b"\x1f\x8b" or data == b"abc" else folder / "input"
    path.write_bytes(data)
    return path


def without_source(message: str) -> str:
    """Leave out lines of this very file, which have all the words in them that are looked for."""
    return re.sub(r"(?m)^    .*\n|(?<=:\d\d): .*(?=\)$)|(?<=:\d\d\d): .*(?=\)$)", "", message)


@pytest.mark.parametrize(("kind", "said", "provoke"), CASES, ids=range(len(CASES)))
def test_an_error_says_what_is_wrong_and_what_to_do(
    ctx: Context, tmp_path: Path, kind: type[BaseException], said: str, provoke: Provoke
) -> None:
    (folder := tmp_path / "inner").mkdir()
    with pytest.raises(kind) as caught:
        provoke(ctx, folder)
    message = str(caught.value)
    assert said in without_source(message)
    last = re.split(r"(?<=[.?)]) (?=[A-Z])|\n", message)[-1]
    assert last.endswith((".", "?", ")"))
    assert REMEDY.match(last), message
    assert type(caught.value) is kind
    if isinstance(caught.value, HeadraceError):
        again = pickle.loads(pickle.dumps(caught.value))
        assert (type(again), str(again), vars(again)) == (kind, message, vars(caught.value))


def test_a_task_cannot_run_a_job(ctx: Context) -> None:
    """The context cannot travel, so one made anew is the only way."""

    def nested(x: int) -> int:
        with headrace.connect("inline://", progress=False) as inner:
            return inner.range(x).count()

    with pytest.raises(FAILED, match="cannot run another job") as caught:
        ctx.range(3).map(nested).collect()
    assert isinstance(caught.value.__cause__, USAGE)


PLAIN = {  # caught by those who know Python's own
    errors.UsageError: ValueError,
    errors.ClosureError: TypeError,
    errors.ModuleMissing: ImportError,
    errors.InputError: OSError,
    errors.OutputExists: FileExistsError,
    errors.OutputError: OSError,
    errors.NoRecords: ValueError,
    errors.KeyProblem: TypeError,
    errors.DiskFull: OSError,
    errors.PeerRefused: ConnectionError,
}


def test_every_error_has_one_of_three_causes_and_a_plain_kin() -> None:
    kinds = [kind for _, kind in inspect.getmembers(errors, inspect.isclass) if issubclass(kind, Exception)]
    roots = {errors.ProgramError, errors.WorldError, errors.InternalError, errors.JobFailed}
    for kind in kinds:
        assert issubclass(kind, HeadraceError)
        assert kind is HeadraceError or any(issubclass(kind, root) for root in roots)
        assert kind not in PLAIN or issubclass(kind, PLAIN[kind])
    for kind in (FAILED, errors.TaskLost, errors.ResultTooLarge, errors.JobCancelled):
        assert issubclass(kind, errors.JobFailed)
