"""What a lineage graph may become while datasets refer to it: another plan for the same records.

Operators are values: nobody changes them, except here.  One becomes another when what it is to do is settled at its first
action, or when its records lie in files, so that what they were made of need not be known any more.  Whoever calls this
holds the engine's lock, so no plan is made meanwhile; jobs that were planned before go on with what they have.
"""

from __future__ import annotations

from msgspec.structs import force_setattr

from headrace.plan.operators import Body, Edge, Operator


def become(operator: Operator, body: Body, inputs: tuple[Edge, ...]) -> None:
    """Have an operator compute the same records in another way; its name, partitions and partitioner stay."""
    force_setattr(operator, "body", body)
    force_setattr(operator, "inputs", inputs)


def tell(operator: Operator, chosen: str) -> None:
    """Say why an operator became what it is."""
    force_setattr(operator, "chosen", chosen)


def entitle(operator: Operator, title: str | None) -> None:
    """Give a dataset a name, for people."""
    force_setattr(operator, "title", title)
