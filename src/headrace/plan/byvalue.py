"""Pickling by value what another process could not import, with what cloudpickle gets wrong put right."""

from __future__ import annotations

from typing import Any

import cloudpickle


class ByValuePickler(cloudpickle.Pickler):  # type: ignore[misc]
    """Gives classes that have `__slots__` their slots.

    cloudpickle makes such a class anew without them, so its instances have a `__dict__` there, and cannot come back.
    """

    def reducer_override(self, obj: Any) -> Any:
        """Say how something is to be pickled."""
        reduced = super().reducer_override(obj)
        if isinstance(obj, type) and isinstance(reduced, tuple) and vars(obj).get("__slots__"):
            make, arguments, *rest = reduced
            if make.__name__ == "_make_skeleton_class":  # not an enumeration
                kind, name, bases, namespace, *others = arguments
                return make, (kind, name, bases, {**namespace, "__slots__": vars(obj)["__slots__"]}, *others), *rest
        return reduced
