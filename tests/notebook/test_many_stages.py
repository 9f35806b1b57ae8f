"""Progress of a job of hundreds of stages stays a short table, and tells everything all the same."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from headrace.ids import StageId
from headrace.observe.progress import ROWS_MAX, Progress, StageProgress

STAGES = st.lists(
    st.builds(
        lambda done, more: StageProgress("map", done + more, done, more, done * 10, 0),
        st.integers(0, 3),
        st.integers(0, 1),
    ),
    max_size=3 * ROWS_MAX,
)


@given(stages=STAGES)
def test_finished_stages_share_a_row_when_there_are_many(stages: list[StageProgress]) -> None:
    progress = Progress()
    progress.stages.update({StageId(number): stage for number, stage in enumerate(stages, 1)})
    rows = progress.lines()
    begun = [stage for stage in stages if stage.done or stage.running]
    at_work = sum(stage.running > 0 for stage in begun)
    assert len(rows) <= max(ROWS_MAX, at_work + 1)
    assert len(rows) == len(begun) or len(begun) > ROWS_MAX
    assert sum(int(tasks.partition("/")[0]) for _, tasks, *_ in rows) == sum(stage.done for stage in begun)
    assert sum(int(running) for _, _, running, *_ in rows) == sum(stage.running for stage in begun)
    assert sum(int(records.replace(",", "")) for *_, records, _ in rows) == sum(stage.records for stage in begun)


def test_all_that_is_done_is_one_row_and_the_latest_are_shown() -> None:
    progress = Progress()
    progress.stages.update({StageId(number): StageProgress("join", 8, 8) for number in range(1, 301)})
    rows = progress.lines()
    assert len(rows) == ROWS_MAX
    assert rows[0][:2] == ("1 to 289, done", "2312/2312")
    assert rows[-1][:2] == ("300 join", "8/8")
