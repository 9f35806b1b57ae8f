"""One spelling of a value in every process: equal values are spelt alike, whatever the seed of Python's hashes.

A pickle does not do for that: the elements of a set stand in it in an order of their process, 1 and 1.0 and True are equal
and pickled differently, and what is pickled twice is only referred to.  Here numbers are spelt by value and sets in the
order of how their elements are spelt.  The order of a dictionary counts: it is the order of insertion, and whoever iterates
sees it.  Objects are spelt as what they would be pickled as, attributes by name; functions by their code.  What has no
spelling (generators, locks, open files) is noted by type, for whoever compares to say that it was not compared.
"""

from __future__ import annotations

import copyreg
import hashlib
import math
import types
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from headrace.execute.groups import Group
from headrace.plan.hashing import class_name

LONG = 128  # bytes of a part's spelling above which its digest stands for it: parts may be shared, again and again
DIGEST_BYTES = 16
DEEP = 60  # containers within one another; deeper, what they hold is not compared


class Speller:
    """Spells values.

    Attributes:
        unknown: how many values had no spelling, by the name of their type.

    """

    def __init__(self) -> None:
        self.unknown: Counter[str] = Counter()
        self._path: dict[int, int] = {}  # the containers that are being spelt, and how deep they lie
        self._known: dict[int, tuple[Any, bytes]] = {}  # long parts of this value; held, or another may get their id

    def spell(self, value: Any) -> bytes:
        """Return the spelling of a value.

        >>> Speller().spell({1, 2.5}) == Speller().spell({2.5, True})
        True
        >>> Speller().spell([1, 2]) == Speller().spell([2, 1])
        False

        """
        try:
            return self._spell(value)
        except RecursionError:
            return self._not_known(value)
        finally:
            if self._known or self._path:
                self._known.clear()
                self._path.clear()

    def _spell(self, value: Any) -> bytes:
        plain = _PLAIN.get(type(value))
        if plain is not None:
            return plain(value)
        if type(value) is tuple:
            return b"(%d:%b" % (len(value), b"".join(map(self._spell, value)))
        return self._part(value)

    def _part(self, value: Any) -> bytes:
        """Spell what may be part of itself, or of much else."""
        number = id(value)
        if number in self._path:
            return b"^%d" % self._path[number]
        if number in self._known:
            return self._known[number][1]
        if len(self._path) >= DEEP:
            return self._not_known(value)
        self._path[number] = len(self._path)
        try:
            spelt = self._container(value)
        except RecursionError:
            raise
        except Exception:  # methods of the user's may do anything
            spelt = self._not_known(value)
        del self._path[number]
        if len(spelt) > LONG:
            spelt = b"#" + hashlib.blake2b(spelt, digest_size=DIGEST_BYTES).digest()
            self._known[number] = value, spelt
        return spelt

    def _container(self, value: Any) -> bytes:
        kind = type(value)
        if kind is list or kind is Group:
            return b"[%d:%b" % (len(value), b"".join(map(self._spell, value)))
        if kind is dict:
            return b"{%d:%b" % (len(value), self._pairs(value.items()))
        if isinstance(value, set | frozenset):
            of_class = b"" if kind in (set, frozenset) else self._named(kind) + self._attributes(value)
            return b"<%b%d:%b" % (of_class, len(value), b"".join(sorted(map(self._spell, value))))
        if isinstance(value, type | types.BuiltinFunctionType | types.ModuleType):
            return self._named(value)
        if isinstance(value, types.FunctionType):
            return self._function(value)
        if kind.__module__ == "numpy" and hasattr(value, "dtype"):
            return self._array(value)
        if isinstance(value, Iterator):
            return self._not_known(value)  # asked what it is made of, it might be used up
        return self._object(value)

    def _pairs(self, pairs: Iterable[tuple[Any, Any]]) -> bytes:
        return b"".join(self._spell(part) for pair in pairs for part in pair)

    def _array(self, value: Any) -> bytes:
        if value.dtype.hasobject:
            return b"A" + self._spell(value.tolist())
        if value.ndim == 0:
            return self._spell(value.item())
        return b"A%b%b%b" % (value.dtype.str.encode(), self._spell(value.shape), value.tobytes())

    def _named(self, value: Any) -> bytes:
        name = getattr(value, "__qualname__", None) or value.__name__
        return _text(f"{getattr(value, '__module__', None) or ''}:{name}")

    def _function(self, function: types.FunctionType) -> bytes:
        cells = [cell.cell_contents for cell in function.__closure__ or ()]
        return (
            b"F" + self._code(function.__code__) + self._spell([function.__defaults__, function.__kwdefaults__, cells])
        )

    def _code(self, code: types.CodeType) -> bytes:
        inner = [self._code(one) if isinstance(one, types.CodeType) else self._spell(one) for one in code.co_consts]
        return b"".join((_bytes(code.co_code), self._spell(code.co_names), *inner))

    def _object(self, value: Any) -> bytes:
        """Spell what an object would be pickled as."""
        reduce = copyreg.dispatch_table.get(type(value))
        made: Any = reduce(value) if reduce is not None else value.__reduce_ex__(4)
        if isinstance(made, str):
            return b"G" + _text(f"{type(value).__module__}:{made}")
        function, arguments, state, items, pairs = [*made, None, None, None][:5]
        return b"".join(
            (
                b"O",
                self._named(function) if hasattr(function, "__name__") else self._spell(function),
                self._spell(arguments),
                self._state(state),
                self._spell(list(items)) if items is not None else b"",
                self._pairs(pairs) if pairs is not None else b"",
            )
        )

    def _attributes(self, value: Any) -> bytes:
        return self._state(getattr(value, "__dict__", None))

    def _state(self, state: Any) -> bytes:
        """Spell attributes: their order is nobody's concern."""
        if isinstance(state, dict):
            return b"a" + b"".join(sorted(self._spell(name) + self._spell(part) for name, part in state.items()))
        if type(state) is tuple and len(state) == 2 and isinstance(state[1], dict):  # with slots
            return b"s" + self._state(state[0]) + self._state(state[1])
        return self._spell(state)

    def _not_known(self, value: Any) -> bytes:
        name = class_name(value)
        self.unknown[name] += 1
        return b"?" + _text(name)


def _text(text: str) -> bytes:
    data = text.encode("utf-8", "surrogatepass")
    return b"s%d:%b" % (len(data), data)


def _bytes(data: bytes | bytearray) -> bytes:
    return b"b%d:%b" % (len(data), bytes(data))


def _whole(number: int) -> bytes:
    return b"i%x;" % number


def _float(number: float) -> bytes:
    if number.is_integer():
        return _whole(int(number))
    return b"fn" if math.isnan(number) else b"f%b;" % number.hex().encode()


def _complex(number: complex) -> bytes:
    return b"c" + _float(number.real) + _float(number.imag) if number.imag else _float(number.real)


_PLAIN: dict[type, Callable[[Any], bytes]] = {
    str: _text,
    int: _whole,
    bool: _whole,
    float: _float,
    complex: _complex,
    bytes: _bytes,
    bytearray: _bytes,
    type(None): lambda _: b"n",
    type(...): lambda _: b"e",
}


class RollingDigest:
    """The digest of a row of values, as they come.

    Attributes:
        count: how many came.

    >>> one, other = RollingDigest(), RollingDigest()
    >>> for value in ("a", 1): one.add(Speller().spell(value))
    >>> other.add(Speller().spell("a"))
    >>> one.count, one.digest == other.digest
    (2, False)

    """

    __slots__ = ("_hash", "count")

    def __init__(self) -> None:
        self.count = 0
        self._hash = hashlib.blake2b(digest_size=DIGEST_BYTES)

    def add(self, spelt: bytes) -> None:
        """Add one."""
        self.count += 1
        self._hash.update(spelt)

    @property
    def digest(self) -> str:
        """Of all so far."""
        return f"{self.count}:{self._hash.hexdigest()}"
