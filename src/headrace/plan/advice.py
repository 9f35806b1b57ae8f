"""What could be said better: plans that work, and would be faster written otherwise."""

from __future__ import annotations

import builtins
from collections.abc import Iterator, Sequence

from headrace.plan.operators import Forward, Merge, Operator, PerRecord

INSTEAD = {
    builtins.sum: "reduce_by_key(operator.add)",
    builtins.max: "reduce_by_key(max)",
    builtins.min: "reduce_by_key(min)",
    builtins.len: "map_values(lambda value: 1).reduce_by_key(operator.add)",
}


def advice(operators: Sequence[Operator]) -> Iterator[str]:
    """Look for groups that are only made to be added up."""
    for operator in operators:
        body = operator.body
        if not isinstance(body, PerRecord) or body.kind != "map_values" or body.function is None:
            continue
        (edge,) = operator.inputs
        grouped = edge.source.body if isinstance(edge, Forward) else None
        call = body.function.call
        if isinstance(grouped, Merge) and grouped.how == "group" and isinstance(call, type(sum)) and call in INSTEAD:
            yield (
                f"{edge.source.name} moves every value, and map_values({call.__name__}) at {operator.site} makes one of "
                f"them: {INSTEAD[call]} instead moves one for each key and task"
            )
