"""A hash of keys that is the same in every process, run and machine, and agrees with `==`.

Python's own `hash` differs between processes for text and everything built from it, so it cannot decide where a key
goes.  Ours is 32 bits: CRC-32 for text and bytes (the fastest that the standard library has in C), Python's hash of
numbers (which is the same everywhere and equal for equal numbers of any type) spread by Fibonacci hashing, and a
combination of the parts for what has parts.

Source: Knuth, The Art of Computer Programming, volume 3, section 6.4, for multiplicative hashing.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from datetime import date, datetime, time, timedelta
from numbers import Number
from typing import Any
from zlib import crc32

from headrace.errors import KeyProblem

GOLDEN = 0x9E3779B97F4A7C15  # 2**64 / the golden ratio, odd
MASK64 = (1 << 64) - 1
MASK32 = (1 << 32) - 1
NONE_HASH = 0x5BD1E995
NAN_HASH = 0x7FC00000
NAN = math.nan  # every float NaN key becomes this very object, so that dictionaries find it again


def stable_hash(key: Any) -> int:
    """Hash a key to 32 bits; equal keys hash equal, in any process.

    Raises:
        KeyProblem: the key cannot be hashed, or equal keys would hash differently in another process.

    >>> stable_hash("water"), stable_hash(1) == stable_hash(1.0) == stable_hash(True)
    (4214428890, True)
    >>> stable_hash(float("nan")) == stable_hash(float("nan"))
    True

    """
    if type(key) is str:
        try:
            return crc32(key.encode())
        except UnicodeEncodeError:  # a lone surrogate, as os.fsdecode makes them
            return crc32(key.encode("utf-8", "surrogatepass"))
    return (_BY_TYPE.get(type(key)) or _hasher(key))(key)


def mix(number: int) -> int:
    """Spread an integer over 32 bits, so that neighbours part.

    Twice, with the halves folded together in between: once alone leaves steps such as a second of nanoseconds in rows.
    """
    number = number * GOLDEN & MASK64
    return ((number ^ number >> 32) * GOLDEN & MASK64) >> 32


def _number(key: Any) -> int:
    if key != key:
        return NAN_HASH
    return mix(hash(key))


def _bytes(key: Any) -> int:
    return crc32(key)


def _tuple(key: Any) -> int:
    state = len(key) + 0x345678
    for part in key:
        state = ((state ^ stable_hash(part)) * 0x9E3779B1 + 0x85EBCA6B) & MASK32
    return state ^ (state >> 15)


def _frozenset(key: Any) -> int:
    return mix(sum(mix(stable_hash(part)) for part in key) + len(key))  # a sum: the order of a set means nothing


def _none(_: Any) -> int:
    return NONE_HASH


def _delta(key: Any) -> int:
    return mix((key.days * 86400 + key.seconds) * 1_000_000 + key.microseconds)


def _datetime(key: Any) -> int:
    offset = key.replace(fold=0).utcoffset()  # two passes through a repeated hour are equal within one zone
    naive = key.replace(tzinfo=None, fold=0) - datetime(1, 1, 1)
    return _delta(naive if offset is None else naive - offset)


def _time(key: Any) -> int:
    offset = key.replace(fold=0).utcoffset()
    naive = timedelta(hours=key.hour, minutes=key.minute, seconds=key.second, microseconds=key.microsecond)
    return _delta(naive if offset is None else naive - offset)


def _date(key: Any) -> int:
    return mix(key.toordinal())


def _range(key: Any) -> int:
    # Python's hash has None in it where a start or a step means nothing, and None hashes by its address before 3.12.
    length = len(key)
    return _tuple((length, key.start if length else None, key.step if length > 1 else None))


_BY_TYPE: dict[type, Callable[[Any], int]] = {
    int: _number,
    float: _number,
    bool: _number,
    complex: _number,
    bytes: _bytes,
    tuple: _tuple,
    frozenset: _frozenset,
    type(None): _none,
    datetime: _datetime,
    date: _date,
    time: _time,
    timedelta: _delta,
    range: _range,
}
_BASES: tuple[type, ...] = (str, bytes, int, float, complex, tuple, frozenset, datetime, date, time, timedelta)
_BY_NAME: dict[tuple[str, str], Callable[[Any], int]] = {  # found by name: nobody who has one needs us to import it
    ("uuid", "UUID"): lambda key: mix(key.int),
    ("pathlib", "PurePosixPath"): lambda key: stable_hash(str(key)),
    ("pathlib", "PureWindowsPath"): lambda key: stable_hash(str(key).lower()),
    ("ipaddress", "IPv4Address"): lambda key: mix(int(key)),
    ("ipaddress", "IPv6Address"): lambda key: mix(int(key)),
}


def _hasher(key: Any) -> Callable[[Any], int]:
    """Find how keys of this type are hashed, once per type."""
    kind = type(key)
    if kind.__hash__ is None:
        raise KeyProblem(unhashable(key))
    found = _find(kind, key)
    _BY_TYPE[kind] = found
    return found


def _find(kind: type, key: Any) -> Callable[[Any], int]:
    if callable(getattr(kind, "__stable_key__", None)):
        return lambda k: stable_hash(k.__stable_key__())
    for base in _BASES:
        if issubclass(kind, base) and _same(kind, base, "__hash__") and _same(kind, base, "__eq__"):
            # The base's content decides equality, so it decides the hash: named tuples, str subclasses, IntEnum.
            return _text if base is str else _BY_TYPE[base]
    for parent in kind.__mro__:
        if by_name := _BY_NAME.get((parent.__module__.split("._")[0], parent.__name__)):
            return by_name
    for parent in kind.__mro__:
        if (parent.__module__, parent.__name__) == ("enum", "Enum") and _same(kind, parent, "__hash__"):
            return lambda k: _tuple((type(k).__qualname__, k.name))
    if isinstance(key, Number):
        return _number
    if _generated_hash(kind):
        names = [f.name for f in kind.__dataclass_fields__.values() if (f.compare if f.hash is None else f.hash)]  # type: ignore[attr-defined]
        return lambda k: _tuple((type(k).__qualname__, *(getattr(k, name) for name in names)))
    raise KeyProblem(
        f"{short(key)} cannot be a key: {kind.__module__}.{kind.__qualname__} has a hash that differs between "
        "processes. Use a tuple of its parts, make it a frozen dataclass, or give it a method __stable_key__ that "
        "returns such a tuple."
    )


def _same(kind: type, base: type, name: str) -> bool:
    return getattr(kind, name) is getattr(base, name)


def _text(key: Any) -> int:
    return stable_hash(str.__str__(key))


def _generated_hash(kind: type) -> bool:
    """Whether a dataclass has the hash that `dataclass` itself wrote, which is that of its fields."""
    code = getattr(kind.__hash__, "__code__", None)
    return "__dataclass_params__" in vars(kind) and code is not None and code.co_filename == "<string>"


def unhashable(key: Any) -> str:
    """Say that a key cannot be grouped by, and what to do.

    >>> unhashable([1])
    '[1] cannot be a key: a list is unhashable. Use a tuple, or frozenset for a set.'
    """
    part = key
    while isinstance(part, tuple):
        part = next((inner for inner in part if not _hashable(inner)), None)
    kind = type(key if part is None else part).__name__
    return f"{short(key)} cannot be a key: a {kind} is unhashable. Use a tuple, or frozenset for a set."


def _hashable(key: Any) -> bool:
    try:
        hash(key)
    except TypeError:
        return False
    return True


def short(value: Any, limit: int = 120) -> str:
    """Show a value in a message: never long, never raising, and of what is large only the beginning is looked at.

    >>> short([list(range(10**6))] * 10, 20)
    '[[0, 1, 2, 3, 4, ...'
    """
    try:
        text = str.__str__(_beginning(value, limit))
    except (Exception, SystemExit) as error:  # a user's __repr__ may do anything
        text = f"<{class_name(value)} whose repr raises {class_name(error)}>"
    return text if len(text) <= limit else f"{text[: limit - 3]}..."


_BRACKETS: dict[type, str] = {list: "[]", tuple: "()", set: "{}", dict: "{}"}


def _beginning(value: Any, limit: int) -> str:
    """Return a value's `repr`, or more than `limit` characters of its beginning."""
    kind = type(value)
    if kind in (str, bytes, bytearray):
        return repr(value[: limit + 1])
    if kind not in _BRACKETS or not value:
        return repr(value)
    parts, left = [], limit
    for item in value.items() if kind is dict else value:
        part = ": ".join(_beginning(inner, left) for inner in (item if kind is dict else (item,)))
        parts.append(part)
        left -= len(part) + 2
        if left < 0:
            break
    return f"{_BRACKETS[kind][0]}{', '.join(parts)}{',' * (kind is tuple and len(value) == 1)}{_BRACKETS[kind][1]}"


def class_name(value: object) -> str:
    """Return the name of a value's class, without asking either: they may be a user's."""
    name: str = type.__dict__["__name__"].__get__(type(value))
    return name


def printable(text: str) -> str:
    r"""Return a text as it can be written anywhere: names of files need not be text, nor what was read from them.

    >>> printable("caf\xe9 \udcff") == "caf\xe9 \\udcff"
    True
    """
    return text.encode("utf-8", "backslashreplace").decode()


def one_nan(key: Any) -> Any:
    """Replace every NaN in a key by the one that dictionaries find again.

    >>> one_nan(float("nan")) is one_nan((1, float("nan")))[1]
    True
    """
    if isinstance(key, float) and key != key:
        return NAN
    if isinstance(key, tuple) and has_nan(key):
        parts = [one_nan(part) for part in key]
        return key._make(parts) if hasattr(key, "_make") else tuple(parts)
    if isinstance(key, Number) and key != key:
        return _ONE_OF.setdefault(type(key), key)
    return key


_ONE_OF: dict[type, Any] = {}


def has_nan(key: Any) -> bool:
    """Whether a key is a NaN or a tuple that holds one."""
    if isinstance(key, tuple):
        return any(has_nan(part) for part in key)
    return isinstance(key, Number) and bool(key != key)
