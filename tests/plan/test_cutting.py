"""What is checkpointed by itself: what saves much for little, and nothing that does not pay."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from headrace.ids import OperatorId
from headrace.plan.cutting import Cost, Cut, choose, cuts
from headrace.plan.operators import Operator, ancestors
from tests.plan.lineage import Lineage

SECOND = 10**9
CUTS = st.lists(
    st.builds(
        Cut,
        st.integers(1, 50).map(OperatorId),
        st.integers(0, 10**13),
        st.integers(1, 300),
        st.integers(1, 1000),
        st.none() | st.integers(0, 10**11),
    ),
    max_size=12,
    unique_by=lambda cut: cut.operator,
)
FAILURES = st.integers(1, 10**15)


@given(found=CUTS, failure_ns=FAILURES, length_max=st.integers(1, 300))
def test_what_is_chosen_pays_or_the_lineage_is_too_long(found: list[Cut], failure_ns: int, length_max: int) -> None:
    chosen = choose(found, failure_ns=failure_ns, length_max=length_max)
    longest = max((cut.length for cut in found), default=0)
    pays = [cut for cut in found if cut.saves_ns**2 >= 2 * cut.costs_ns * failure_ns]
    if longest < length_max:
        assert chosen is None or chosen in pays
        best = max((cut.saves_ns for cut in found), default=0)
        assert chosen is not None or not [cut for cut in pays if cut.saves_ns == best]
        assert chosen is None or chosen.saves_ns >= 0.85 * best
    else:
        assert chosen is not None
        assert chosen.length >= 0.85 * longest


@given(found=CUTS, failure_ns=FAILURES)
def test_no_other_saves_as_much_for_clearly_less(found: list[Cut], failure_ns: int) -> None:
    chosen = choose(found, failure_ns=failure_ns, length_max=1000)
    if chosen is not None and chosen.size_bytes is not None:
        best = max(cut.saves_ns for cut in found)
        for other in found:
            as_good = other.size_bytes is not None and other.saves_ns >= max(0.85 * best, chosen.saves_ns)
            assert not as_good or other.costs_ns * 1.3 >= chosen.costs_ns


@given(found=CUTS, failure_ns=FAILURES)
def test_the_rarer_failures_are_the_less_is_written(found: list[Cut], failure_ns: int) -> None:
    if choose(found, failure_ns=failure_ns, length_max=1000) is None:
        assert choose(found, failure_ns=failure_ns * 10, length_max=1000) is None


def rounds(make: Lineage, number: int) -> tuple[Operator, list[Operator], list[Operator]]:
    """PageRank's pattern: small ranks, large contributions, both behind a shuffle."""
    links = make.merged("as is", make.moved(make.record(make.numbers(range(9), 2), "pair"), 2))
    ranks = links
    small, large = [], []
    for _ in range(number):
        contributions = make.merged("as is", make.moved(make.record(ranks, "flat_map", list), 2))
        ranks = make.merged("as is", make.moved(make.record(contributions, "map", abs), 2))
        small.append(ranks)
        large.append(contributions)
    return ranks, small, large


def test_ranks_are_preferred_to_contributions() -> None:
    make = Lineage()
    tip, small, large = rounds(make, 10)
    sizes = {o.id: 10_000 for o in small} | {o.id: 900_000_000 for o in large}
    stages = {
        edge.stage: Cost(SECOND, sizes.get(o.id, 1))
        for o in ancestors(tip)
        for edge in o.inputs
        if hasattr(edge, "stage")
    }
    found = cuts(ancestors(tip), stages, {}, [])
    assert {cut.operator for cut in found} >= {o.id for o in small + large}
    chosen = choose(found, failure_ns=1, length_max=1000)
    assert chosen is not None
    assert chosen.operator == small[-1].id
    assert chosen.saves_ns == 21 * SECOND, "the links' shuffle, and two a round"


def test_a_lineage_that_meets_itself_again_and_again_costs_its_longest_way() -> None:
    make = Lineage()
    tip = make.record(make.numbers(range(4), 2), "pair")
    for _ in range(60):
        moved = make.merged("as is", make.moved(tip, 2))
        tip = make.union(moved, moved)
    stages = {e.stage: Cost(1, 1) for o in ancestors(tip) for e in o.inputs if hasattr(e, "stage")}
    assert max(cut.saves_ns for cut in cuts(ancestors(tip), stages, {}, [])) == 60
