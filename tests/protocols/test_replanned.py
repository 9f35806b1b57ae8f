"""Plans of a stage are compared as `==` would, however deep they are."""

from __future__ import annotations

from copy import deepcopy

from hypothesis import given
from hypothesis import strategies as st

from headrace.ids import OperatorId, StageId
from headrace.plan.stages import Reads, Segment, StageSpec
from headrace.protocols.lineage import is_same

FEW = st.integers(1, 2)
CUTS = st.none() | FEW.map(OperatorId)
STAGES = st.lists(FEW.map(StageId), max_size=1).map(tuple)
READS = st.recursive(
    st.builds(Reads, CUTS, st.integers(0, 1), STAGES),
    lambda below: st.builds(Reads, CUTS, st.just(0), STAGES, st.lists(below, min_size=1, max_size=2).map(tuple)),
    max_leaves=4,
)
SPECS = st.lists(READS, min_size=1, max_size=2).flatmap(
    lambda trees: st.builds(
        StageSpec,
        st.just(StageId(3)),
        st.sampled_from(["count", "sum"]),
        st.just(len(trees)),
        st.just(value=True),
        st.just(tuple(Segment(p, p + 1, reads) for p, reads in enumerate(trees))),
    )
)


@given(one=SPECS, other=SPECS)
def test_as_plans_compare_that_are_not_deep(one: StageSpec, other: StageSpec) -> None:
    assert is_same(one, deepcopy(one))
    assert is_same(one, deepcopy(other)) == (one == other)


def test_plans_that_are_very_deep() -> None:
    def deep(first: Reads) -> StageSpec:
        for number in range(20_000):
            first = Reads(OperatorId(number), 0, (), (first,))
        return StageSpec(StageId(3), "count", 1, True, (Segment(0, 1, first),))

    assert is_same(deep(Reads()), deep(Reads()))
    assert not is_same(deep(Reads()), deep(Reads(None, 0, (StageId(1),))))
