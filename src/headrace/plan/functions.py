"""Functions of the user's: where they were handed in, how they travel, and who is to blame when they cannot.

A function is pickled when it is handed in, to find out there and then whether it can be, and once more when its first
job is submitted, because Python looks names up late: what it refers to may have been defined in between.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import io
import linecache
import sys
import types
from collections.abc import Callable, Iterator
from typing import Any

from msgspec import Struct

from headrace.errors import ClosureError, HeadraceError
from headrace.ids import Digest
from headrace.plan.byvalue import ByValuePickler
from headrace.plan.hashing import short
from headrace.plan.holding import holding

PACKAGE = __name__.partition(".")[0]
PROTOCOL = 5
PATH_MAX = 12  # steps to a culprit that are shown


class Site(Struct, frozen=True):
    """The place in the user's program that an operator came from."""

    file: str
    line: int
    function: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line}"

    @property
    def code(self) -> str:
        """The line itself, where the source can be read."""
        return linecache.getline(self.file, self.line).strip()


def call_site() -> Site:
    """Find the nearest caller outside this package."""
    frame: types.FrameType | None = sys._getframe(1)
    while frame is not None and in_engine(frame.f_globals.get("__name__", "")):
        frame = frame.f_back
    if frame is None:
        return Site("?", 0, "?")
    return Site(frame.f_code.co_filename, frame.f_lineno, frame.f_code.co_name)


def in_engine(module: str) -> bool:
    """Whether a module is ours rather than the user's; the demo's own job counts as a user's.

    >>> in_engine("headrace.dataset.narrow"), in_engine("headrace_shop")
    (True, False)
    """
    return (module == PACKAGE or module.startswith(f"{PACKAGE}.")) and module != f"{PACKAGE}.cli.demo"


class UserFunction:
    """A function on its way: the live one in the program, a digest on the wire, the loaded one on a worker.

    Attributes:
        call: the function itself.
        label: the operator that it was handed to.
        site: where that was.

    """

    __slots__ = ("__weakref__", "_blob", "_digest", "_held", "call", "label", "site")

    def __init__(self, call: Callable[..., Any], label: str, site: Site) -> None:
        self.call, self.label, self.site = call, label, site
        self._blob: bytes | None = None
        self._held: list[Any] = []  # what the blob names, though `call` may by now refer to something else
        self._digest: Digest | None = None

    @property
    def blob(self) -> bytes:
        """The function, pickled once and for all."""
        if self._blob is None:
            with holding() as self._held:
                self._blob = pickle_function(self.call, self.label)
        return self._blob

    @property
    def digest(self) -> Digest:
        """What names the blob."""
        if self._digest is None:
            self._digest = digest_of(self.blob)
        return self._digest

    def __eq__(self, other: object) -> bool:
        return isinstance(other, UserFunction) and self.call is other.call

    def __hash__(self) -> int:
        return id(self.call)

    def __repr__(self) -> str:
        return f"{self.label}({name_of(self.call)})"


def digest_of(blob: bytes) -> Digest:
    """Name a blob by its content.

    >>> digest_of(b"")
    'cae66941d9efbd404e4d88758ea67670'
    """
    return Digest(hashlib.blake2b(blob, digest_size=16).hexdigest())


def user_function(call: Callable[..., Any], label: str, site: Site | None = None) -> UserFunction:
    """Take a function from the user, after checking that it can travel.

    Raises:
        ClosureError: it is not callable, or cannot be pickled; the message has the path to the culprit.

    """
    if not callable(call):
        raise ClosureError(f"{label} needs a function, not {short(call)}. Give it a def or a lambda.")
    pickle_function(call, label)
    return UserFunction(call, label, site or call_site())


def pickle_function(call: Callable[..., Any], label: str) -> bytes:
    """Pickle a function by value where it cannot be imported elsewhere."""
    buffer = io.BytesIO()
    try:
        ByValuePickler(buffer, PROTOCOL).dump(call)
        return buffer.getvalue()
    except Exception as error:
        path, why = find_culprit(call, error)
        if isinstance(error.__cause__ or error, RecursionError):  # cloudpickle makes a PicklingError of it
            raise ClosureError(
                f"the function given to {label} cannot be sent to workers: {path}: it is nested too deeply. Keep big "
                "structures out of functions: pass them with ctx.broadcast or as a dataset."
            ) from error
        advice = "Create such things inside the function, or pass only what they were made from."
        if isinstance(error, HeadraceError):
            advice = ""  # ours says what to do instead
        raise ClosureError(
            f"the function given to {label} cannot be sent to workers: {path}: {why}. {advice}".rstrip()
        ) from error


def name_of(call: object) -> str:
    """Show a function in few words.

    >>> name_of(str.split), name_of(lambda x: x), name_of(functools.partial(max, 0))
    ('str.split', 'lambda', 'partial(max)')
    """
    if isinstance(call, functools.partial):
        return f"partial({name_of(call.func)})"
    name: str = getattr(call, "__qualname__", type(call).__name__)
    return "lambda" if name.endswith("<lambda>") else name.rpartition("<locals>.")[2]


def find_culprit(root: object, error: BaseException) -> tuple[str, str]:
    """Walk down from something that cannot be pickled to the smallest part that cannot.

    Returns:
        The path, such as ``count -> closure 'cfg' -> ['lock'] -> lock``, and the reason that pickling gave for it.

    """
    path, why = [name_of(root) if callable(root) else type(root).__name__], _reason(error)
    here, seen = root, {id(root)}
    while len(path) < PATH_MAX:
        for step, part in _parts(here):
            if id(part) in seen:
                continue
            failure = _failure(part)
            if failure is not None:
                path.append(step)
                why = failure
                seen.add(id(part))
                here = part
                break
        else:
            path.append(type(here).__name__) if len(path) > 1 else None
            return " -> ".join(path), why
    return " -> ".join((*path, "...")), why


def _failure(part: object) -> str | None:
    try:
        ByValuePickler(_Nowhere(), PROTOCOL).dump(part)
    except Exception as error:
        return _reason(error)
    return None


def _reason(error: BaseException) -> str:
    return str(error).strip().rstrip(".") or type(error).__name__


class _Nowhere(io.RawIOBase):
    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        return len(data)


def _global_names(code: types.CodeType) -> Iterator[str]:
    yield from code.co_names
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            yield from _global_names(constant)


def _parts(whole: Any) -> Iterator[tuple[str, object]]:
    """List what pickling something would pickle next, with the step that leads there."""
    if isinstance(whole, functools.partial):
        yield f"partial of {name_of(whole.func)}", whole.func
        yield from ((f"argument {i}", arg) for i, arg in enumerate(whole.args))
        yield from ((f"argument {name!r}", arg) for name, arg in whole.keywords.items())
    elif isinstance(whole, types.MethodType):
        yield "self", whole.__self__
        yield "its function", whole.__func__
    elif isinstance(whole, types.FunctionType):
        for name, cell in zip(whole.__code__.co_freevars, whole.__closure__ or (), strict=True):
            with contextlib.suppress(ValueError):  # a cell that is still empty
                yield f"closure {name!r}", cell.cell_contents
        for name in _global_names(whole.__code__):
            if name in whole.__globals__:
                yield f"global {name!r}", whole.__globals__[name]
        yield from ((f"default {i}", value) for i, value in enumerate(whole.__defaults__ or ()))
        yield from ((f"default {name!r}", value) for name, value in (whole.__kwdefaults__ or {}).items())
    elif isinstance(whole, dict):
        yield from ((f"[{short(key, 40)}]", value) for key, value in whole.items())
    elif isinstance(whole, list | tuple):
        yield from ((f"[{i}]", value) for i, value in enumerate(whole))
    elif isinstance(whole, set | frozenset):
        yield from (("an element", value) for value in whole)
    elif not isinstance(whole, type | types.ModuleType) and not in_engine(type(whole).__module__):
        yield from ((f".{name}", value) for name, value in getattr(whole, "__dict__", {}).items())
