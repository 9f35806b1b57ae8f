"""What to say beside Python's own complaint, where it does not tell what an operator expects of its function."""

from __future__ import annotations

import re

RECORD = "one record"
PARTITION = "an iterator over the records of a partition"
GIVEN = {
    **dict.fromkeys(("map", "flat_map", "filter", "key_by", "group_by", "sort_by", "foreach"), RECORD),
    **dict.fromkeys(("map_values", "flat_map_values"), "one value"),
    **dict.fromkeys(("map_partitions", "foreach_partition"), PARTITION),
    "map_partitions_with_index": f"the number of a partition and {PARTITION}",
    **dict.fromkeys(
        ("reduce", "fold", "reduce_by_key", "fold_by_key", "tree_reduce"), "two values, to make one of them"
    ),
}
NUMBER = r"(no|\d+|from \d+ to \d+|exactly \w+)"
MANY = re.compile(rf"missing \d+ required positional|takes {NUMBER} .*argument|expected .*argument")
NOT_ITERABLE = re.compile(r"'\w+' object is not iterable")


def hint(error: BaseException, operator: str | None, frames: str) -> str:
    """Say what an operator gives its function or wants of it; nothing where the function itself has raised.

    >>> hint(TypeError("f() missing 1 required positional argument: 'b'"), "map_values", "")
    'map_values calls its function with one value.'
    """
    if not isinstance(error, TypeError) or frames or operator is None:
        return ""
    said = str(error)
    if MANY.search(said) and operator in GIVEN:
        apart = " Take a pair apart within it, or use map_values." if operator in ("map", "filter", "flat_map") else ""
        return f"{operator} calls its function with {GIVEN[operator]}.{apart}"
    if NOT_ITERABLE.fullmatch(said):
        if operator in ("flat_map", "flat_map_values"):
            return (
                f"{operator} makes a record of each element of what its function returns. Use {operator[5:]} for one."
            )
        if operator in ("map_partitions", "map_partitions_with_index"):
            return f"{operator} makes a record of each element of what its function returns. Return [value] for one."
    return ""
