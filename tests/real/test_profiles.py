"""The profile of a real run says what its tasks took: as many as there were, as much as was read and written."""

from __future__ import annotations

import operator
import os
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

import headrace
from headrace.errors import InputError, UsageError
from headrace.observe import stories
from headrace.protocols import claims, membership
from headrace.protocols import schedule_words as words
from headrace.store import archive, profiles
from headrace.store.profiles import find_profile, read_profile


class Seen:
    """A watcher that counts for itself."""

    def __init__(self) -> None:
        self.sums: Counter[tuple[Any, str]] = Counter()
        self.ended: list[str] = []

    def __call__(self, machine: str, event: Any, effects: list[Any]) -> None:
        for effect in effects:
            if isinstance(effect, claims.Committed):
                stage, output = effect.task.stage, effect.output
                self.sums[stage, "tasks"] += 1
                self.sums[stage, "ran_ns"] += effect.ran_ns
                for name in ("records", "read_bytes", "written_bytes", "result_bytes"):
                    self.sums[stage, name] += getattr(output, name)
            elif isinstance(effect, words.FinishJob | words.FailJob):
                self.ended.append(type(effect).__name__)
            elif isinstance(effect, membership.Welcome):
                self.sums[0, "workers"] += 1


def test_it_has_what_was_measured_and_no_more(tmp_path: Path) -> None:
    seen = Seen()

    def stumble(x: int) -> int:
        if x == 3 and not (tmp_path / "stumbled").exists():
            (tmp_path / "stumbled").touch()
            raise ValueError("the mill is shut")
        return x

    with headrace.connect("local://?workers=2", progress=False, watchers=[seen]) as ctx:
        dealt = ctx.range(4000, num_slices=8).map(stumble).map(lambda x: (x % 7, x)).reduce_by_key(operator.add, 5)
        kept = dealt.map_values(lambda x: x + 1).cache()
        assert kept.count() == 7
        assert len(kept.collect()) == 7
        with pytest.raises(headrace.errors.JobFailed):
            ctx.range(2, num_slices=2).map(lambda x: 1 // 0).count()
    found = read_profile(ctx.run)
    assert [job.state for job in found.jobs.values()] == ["done", "done", "failed"]
    assert seen.ended == ["FinishJob", "FinishJob", "FailJob"]
    assert len(found.joined) == seen.sums[0, "workers"] >= 1
    assert all(worker.launched_ns < worker.at_ns for worker in found.joined)
    for number, stage in found.stages.items():
        assert stage.tasks == seen.sums[number, "tasks"]
        for name in ("ran_ns", "records", "read_bytes", "written_bytes", "result_bytes"):
            assert sum(getattr(stage, name)) == seen.sums[number, name], (number, name)
        for ran, *parts in zip(stage.ran_ns, stage.fetch_ns, stage.write_ns, stage.commit_ns, strict=True):
            assert sum(parts) <= ran
    dealing, counting, collecting, failing = found.stages.values()
    assert (dealing.spec.is_map, dealing.tasks, dealing.wasted) == (True, 8, 1)
    assert (counting.reads, counting.tasks, len(counting.cached)) == ((dealing.spec.id,), 5, 5)
    assert sum(counting.read_bytes) == sum(dealing.written_bytes)
    assert collecting.spec.segments[0].reads.cut is not None
    assert failing.tasks <= 1
    first, last = found.jobs.values().__iter__().__next__(), list(found.jobs.values())[-1]
    assert 0 < first.at_ns < first.ended_ns < last.at_ns < last.ended_ns == found.took_ns  # type: ignore[operator]
    assert (found.begun.workers, found.begun.hosts, found.closed, found.cut) == (2, 1, True, False)


def test_the_latest_needs_no_name_and_goes_with_its_story(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(archive.ENVIRONMENT, str(tmp_path))
    with pytest.raises(UsageError, match="Run a job first"):
        read_profile(None)
    with headrace.connect("inline://", progress=False) as ctx:
        assert ctx.range(4).sum() == 6
    with headrace.connect("sim://?workers=2", progress=False) as simulated:
        assert simulated.range(4).sum() == 6
    path = find_profile(None)
    assert path == find_profile(ctx.run) == find_profile(str(path))
    assert read_profile(path).tasks == 1
    with pytest.raises(UsageError, match="was simulated"):
        find_profile(simulated.run)
    with pytest.raises(UsageError, match=f"The latest are: {ctx.run}"):
        find_profile("unheard")
    with pytest.raises(InputError, match="not the profile"):
        read_profile(stories.find(ctx.run))
    os.utime(tmp_path / f"{ctx.run}.jsonl", (0, 0))
    for number in range(stories.KEPT):
        stories.StoryFile(f"{number}").close()
    assert not path.exists()


def test_a_profile_has_a_bound_and_says_that_it_was_cut(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(archive.ENVIRONMENT, str(tmp_path))
    monkeypatch.setattr(profiles, "BYTES_MAX", 2000)
    with headrace.connect("inline://", progress=False) as ctx:
        for _ in range(20):
            assert ctx.range(4).sum() == 6
    found = read_profile(ctx.run)
    assert (found.cut, found.closed) == (True, True)
    assert 0 < len(found.jobs) < 20
    assert find_profile(None).stat().st_size < 2500
