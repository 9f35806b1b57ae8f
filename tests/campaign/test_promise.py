"""What counts as a broken promise, and what does not; addresses that are laid over the program's own."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace.campaign import regressions
from headrace.campaign.address import simulated
from headrace.campaign.promise import Promise
from headrace.campaign.regressions import Regression
from headrace.campaign.words import Cluster, Outcome, Written
from headrace.config import parse_url
from headrace.errors import UsageError
from headrace.sim.faults import Fault, FaultPlan, write_plan


def outcome(out: str = "", files: dict[str, str] | None = None, **more: Any) -> Outcome:
    written = {name: Written(f"digest of {text}", len(text), text) for name, text in (files or {}).items()}
    base: dict[str, Any] = {"id": 1, "status": 0, "seconds": 1.0, "out": out, "digest": f"digest of {out}"}
    return Outcome(**{**base, "written": written, **more})


GOOD = outcome("a\nb\n", {"out/part-0": "x\ny\n"})


@pytest.mark.parametrize(
    ("other", "kind", "says"),
    [
        (outcome("a\nc\n", {"out/part-0": "x\ny\n"}), "output", "line 2 of what it prints\n  without failures: b\n"),
        (outcome("a", {"out/part-0": "x\ny\n"}), "output", "without failures: b\n  with them:        (nothing more)"),
        (outcome("a\nb\n", {"out/part-0": "x\nx\n"}), "files", "line 2 of out/part-0\n  without failures: y\n"),
        (outcome("a\nb\n", {}), "files", "out/part-0 is missing"),
        (outcome("a\nb\n", {"out/part-0": "x\ny\n", "n": ""}), "files", "n is one file too many"),
        (outcome("a\nb\n", {"out/part-0": "x\ny\n"}, removed=("in",)), "files", "in was removed"),
        (outcome("a\n", status=1, error="ValueError", err="Traceback\nValueError: x\n"), "error", "ValueError: x"),
        (outcome("a\n", status=1, error="NoProgress", err="NoProgress: x\n"), "promise", "NoProgress: x"),
        (outcome("a\n", status=3), "status", "exit status 3, and with 0 without failures"),
        (outcome("a\n", status=-11), "status", "signal 11"),
        (outcome("a\nb\n", status=-9, hung=True), "hang", "did not end within 1 s"),
    ],
)
def test_a_promise_is_broken(other: Outcome, kind: str, says: str) -> None:
    violation = Promise(GOOD).broken_by(other)
    assert violation is not None
    assert violation.kind == kind
    assert says in violation.says


def test_a_promise_is_kept() -> None:
    assert Promise(GOOD).broken_by(GOOD) is None
    assert Promise(GOOD).broken_by(outcome("a\nb\n", {"out/part-0": "x\ny\n"}, err="it took 3 s", threads=4)) is None


def test_lines_can_be_left_out_of_the_comparison() -> None:
    other = outcome("a\nb\ntook 3 s\n", {"out/part-0": "x\nat noon\ny\n"})
    assert Promise(GOOD).broken_by(other) is not None
    assert Promise(GOOD, ["^took .* s$", "at noon"]).broken_by(other) is None
    assert Promise(GOOD, ["^took .* s$"]).broken_by(other) is not None
    assert Promise(GOOD, ["^took"]).broken_by(outcome("a\nc\ntook 3 s\n", {"out/part-0": "x\ny\n"})) is not None


def test_what_is_too_long_to_look_at_is_compared_by_digest() -> None:
    other = outcome("a\nb\n", {"out/part-0": "x\ny\n"}, digest="of what follows")
    violation = Promise(GOOD, ["c"]).broken_by(other)
    assert violation is not None
    assert violation.kind == "output"
    binary = outcome(written={"a": Written("1", 5)})
    changed = Promise(binary).broken_by(outcome(written={"a": Written("2", 6)}))
    assert changed is not None
    assert changed.says == "a differs: 5 bytes without failures, 6 now"


# Addresses.

OURS = st.builds(
    Cluster,
    workers=st.integers(1, 50),
    hosts=st.integers(1, 8),
    faults=st.sampled_from([("all",), ("crash", "disk"), ()]),
    options=st.sampled_from([(), (("memory", "4MB"),)]),
)
THEIRS = st.sampled_from(
    [
        "local://",
        "inline://",
        "local://?workers=3&hosts=2&memory=64MB&dir=/big/a b&split=24k&checkpoint=auto",
        "sim://?seed=3&faults=crash&workers=9&memory=1GB",
        "sim://?plan=x.json&task_timeout=3s",
    ]
)


@given(THEIRS, OURS, st.integers(0, 1 << 40))
def test_the_campaign_decides_what_is_its_own_and_the_program_the_rest(said: str, cluster: Cluster, seed: int) -> None:
    theirs, made = parse_url(said), parse_url(simulated(said, cluster, seed))
    assert (made.scheme, made.seed, made.plan) == ("sim", seed, None)
    assert (made.workers, made.hosts) == (cluster.workers, min(cluster.hosts, cluster.workers))
    assert made.faults == cluster.faults
    assert (made.directory, made.data, made.checkpoint) == (theirs.directory, theirs.data, theirs.checkpoint)
    assert made.schedule == theirs.schedule
    if cluster.options:
        assert made.memory is not None
        assert made.memory.worker_bytes == 4 << 20
    else:
        assert made.memory == theirs.memory
    planned = parse_url(simulated(said, cluster, seed, "/a b/plan&x+y.json"))
    assert (planned.plan, planned.faults) == ("/a b/plan&x+y.json", ())


def test_an_address_that_means_nothing_still_means_nothing() -> None:
    with pytest.raises(UsageError, match="Did you mean 'workers'"):
        simulated("local://?wrokers=3", Cluster(), 1)


# What is kept.


def test_what_was_kept_comes_back_for_its_program_and_arguments_alone(tmp_path: Path) -> None:
    plan = FaultPlan((Fault("crash", 61_000_000, 3), Fault("pause", 62_000_000, 1, 400_000_000)))
    made = Regression(
        script="a/job.py",
        arguments=("--x",),
        seed=7,
        cluster=Cluster(workers=3),
        plan=plan,
        reason=("error", "ValueError"),
        says="it ended with ValueError",
    )
    path = regressions.keep(made, str(tmp_path / "deep" / "kept"))
    assert regressions.keep(made, str(tmp_path / "deep" / "kept")) == path, "the same again is kept once"
    folder = str(tmp_path / "deep" / "kept")
    ((where, found),) = regressions.kept(folder, "elsewhere/job.py", ("--x",))
    assert (where, found.plan, found.seed, found.cluster) == (path, plan, 7, made.cluster)
    assert found.found
    assert list(regressions.kept(folder, "job.py", ())) == []
    assert list(regressions.kept(folder, "other.py", ("--x",))) == []
    assert list(regressions.kept(str(tmp_path / "nowhere"), "job.py", ())) == []
    bare = tmp_path / "plan.json"
    bare.write_bytes(write_plan(plan))
    assert regressions.read(str(bare)) == plan
    bare.write_text(Path(path).read_text().replace('"crash"', '"flood"'))
    with pytest.raises(UsageError, match="no fault 'flood'"):
        regressions.read(str(bare))
    with pytest.raises(UsageError, match="there is no plan"):
        regressions.read(str(tmp_path / "none.json"))
