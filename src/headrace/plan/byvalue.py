"""Pickling by value what another process could not import, with what cloudpickle gets wrong put right."""

from __future__ import annotations

import io
import sys
from collections.abc import Callable
from functools import cached_property, lru_cache
from typing import Any

import cloudpickle

LruCached = type(lru_cache(repr))


class ByValuePickler(cloudpickle.Pickler):  # type: ignore[misc]
    """Gives classes that have `__slots__` their slots, takes cached functions and properties, and refuses open files.

    cloudpickle makes a class with slots anew without them, so its instances have a `__dict__` there, and cannot come back;
    a cached function of `__main__` it names, though nobody finds it there; the lock of a cached property it cannot take
    (Python has none from 3.12 on); of an open file it would send what the file holds now.
    """

    def reducer_override(self, obj: Any) -> Any:
        """Say how something is to be pickled."""
        if isinstance(obj, io.TextIOWrapper) and obj is not sys.stdout and obj is not sys.stderr:
            raise TypeError(f"cannot pickle the open file {obj.name!r}")
        if type(obj) is LruCached and _is_of_main(obj):
            return _lru_cached, (obj.__wrapped__, *obj.cache_parameters().values())
        if type(obj) is cached_property:
            return _cached_property, (obj.func, obj.attrname)
        reduced = super().reducer_override(obj)
        if isinstance(obj, type) and isinstance(reduced, tuple) and vars(obj).get("__slots__"):
            make, arguments, *rest = reduced
            if make.__name__ == "_make_skeleton_class":  # not an enumeration
                kind, name, bases, namespace, *others = arguments
                return make, (kind, name, bases, {**namespace, "__slots__": vars(obj)["__slots__"]}, *others), *rest
        return reduced


def _is_of_main(function: Any) -> bool:
    """Whether a function is not to be found by its name elsewhere: of `__main__`, or made within another."""
    return function.__module__ == "__main__" or "<" in function.__qualname__


def _lru_cached(function: Callable[..., Any], maxsize: int | None, typed: bool) -> Callable[..., Any]:
    return lru_cache(maxsize, typed)(function)


def _cached_property(function: Callable[[Any], Any], name: str | None) -> cached_property[Any]:
    made = cached_property(function)
    made.attrname = name
    return made
