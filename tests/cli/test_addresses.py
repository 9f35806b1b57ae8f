"""Addresses: what they set, and how plainly those are refused that mean nothing."""

from __future__ import annotations

import contextlib
import os
import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import headrace
from headrace.config import OPTIONS, SCHEMES, SIMULATED, WorkConfig, parse_duration, parse_size, parse_url
from headrace.errors import UsageError
from headrace.sim.faults import GROUPS, KINDS
from tests.real.help import run_folders

MS = 1_000_000
# For every option: what may be written, and what is then set; and what may not.
VALUES: dict[str, tuple[str, Any, tuple[str, ...]]] = {
    "workers": ("12", 12, ("0", "-1", "1.5", "many", "", "1e3")),
    "hosts": ("1", 1, ("0", "two")),
    "dir": ("/big/a+b%20c", "/big/a+b c", ()),
    "memory": ("64MB", 64 << 20, ("0", "-1", "big", "nan", "inf", "")),
    "max_failures": ("2", 2, ("0",)),
    "max_losses": ("7", 7, ("0",)),
    "task_timeout": ("250ms", 250 * MS, ("-1s", "0", "soon", "nan", "1h")),
    "cancel_grace": ("250ms", 250 * MS, ("-1s", "soon", "nan", "inf", "1e308", "1h")),
    "stall": ("2", 2000 * MS, ("x",)),
    "max_result": ("1.5g", 3 << 29, ("-5",)),
    "speculate": ("off", False, ("maybe", "")),
    "backup_after": ("0", 0, ("-1",)),
    "heartbeat": ("100ms", 100 * MS, ("0", "0.01ms", "10s")),
    "suspect": ("1.5s", 1500 * MS, ("0", "500ms")),
    "hung": ("9", 9000 * MS, ("?",)),
    "split": ("16k", 16 << 10, ("0", "0.1", "-1")),
    "capsule": ("1MB", 1 << 20, ("some", "-1")),
    "unpack": ("1g", 1 << 30, ("0", "much")),
    "inline": ("0", 0, ("x",)),
    "broadcast_bytes": ("0", 0, ("-1", "few")),
    "split_records": ("9", 9, ("0", "many")),
    "checkpoint": ("auto", True, ("on", "")),
    "mtbf": ("60", 60_000 * MS, ("0", "?")),
    "lineage": ("30", 30, ("0", "x")),
    "verify_determinism": ("0.05", 0.05, ("2", "-1", "nan", "some", "")),
    "plan": ("/some/plan.json", "/some/plan.json", ()),
    "check": ("off", False, ("maybe", "")),
    "work": (
        "constant:10us,1ms",
        WorkConfig(kind="constant", record_ns=10_000, chunk_ns=1_000_000),
        (
            "",
            "constant",
            "constant:1,2,3",
            "uniform:2us,1us",
            "lognormal:1us,x",
            "recorded:",
            "measured:-1",
            "chunk",
            "1h",
        ),
    ),
    "bodies": ("threads", "threads", ("thread", "")),
    "seed": ("7", 7, ("-1", "x")),
    "faults": ("kill,host", ("kill", "host"), ()),
}


def test_every_option_is_tried_here() -> None:
    assert set(VALUES) == set(OPTIONS)


def test_the_page_of_options_has_all_of_them_and_what_they_usually_are() -> None:
    page = (Path(__file__).parents[2] / "docs" / "addresses.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| `(\w+)` \| (?:`([^`]+)`|[^`|]+) \| ", page, re.MULTILINE)
    assert [option for option, _ in rows] == list(OPTIONS)
    for option, usual in rows:
        if usual:
            assert parse_url(f"sim://?{option}={usual}") == parse_url("sim://"), option
    (kinds,) = re.findall(r"some of `([^`]+)`", page)
    assert tuple(kinds.split(",")) == tuple(dict.fromkeys((*GROUPS, *KINDS)))
    without = set(OPTIONS) - SCHEMES["inline"] - SIMULATED
    assert set(re.findall(r"`(\w+)`", page.split("`inline://` has no")[1].split(";")[0])) == without


@pytest.mark.parametrize(("scheme", "option"), [(s, o) for s, options in SCHEMES.items() for o in sorted(options)])
def test_an_option_sets_what_it_names_and_nothing_else(scheme: str, option: str) -> None:
    text, value, wrong = VALUES[option]
    part, attribute, _ = OPTIONS[option]
    config, plain = parse_url(f"{scheme}://?{option}={text}"), parse_url(f"{scheme}://")
    assert getattr(getattr(config, part) if part else config, attribute) == value
    whole = {name: getattr(config, name) for name in config.__struct_fields__}
    usual = {name: getattr(plain, name) for name in plain.__struct_fields__}
    assert {name for name in whole if whole[name] != usual[name]} <= {part or attribute}
    for text in wrong:
        with pytest.raises(UsageError) as caught:
            parse_url(f"{scheme}://?{option}={text}")
        assert option in str(caught.value)
        assert str(caught.value).endswith(".")


@given(st.sampled_from(sorted(SCHEMES)), st.data())
def test_a_letter_too_few_or_swapped_is_pointed_out(scheme: str, data: st.DataObject) -> None:
    name = data.draw(st.sampled_from(sorted(option for option in SCHEMES[scheme] if len(option) > 4)))
    at = data.draw(st.integers(1, len(name) - 2))
    typed = data.draw(st.sampled_from([name[:at] + name[at + 1 :], name[:at] + name[at] + name[at:]]))
    if typed not in SCHEMES[scheme]:
        with pytest.raises(UsageError, match=f"has no option '{typed}'. Did you mean '{name}'?"):
            parse_url(f"{scheme}://?{typed}=1")


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("", "Use one of local://"),
        ("local", "Use one of local://"),
        ("local:", "Use one of local://"),
        ("locl://", "Use one of local://"),
        ("http://example.org", "Use one of local://"),
        ("local://[?", "Use one of local://"),
        ("redis://there", "not built yet"),
        ("ray://", "not built yet"),
        ("local://here", "names a place"),
        ("local:///tmp", "names a place"),
        ("local://#4", "names a place"),
        ("local://?wrokers=4", "Did you mean 'workers'?"),
        ("inline://?workers=4", "It belongs to local://, sim://."),
        ("local://?seed=4", "It belongs to sim://."),
        ("local://?nonsense", "It has backup_after"),
        ("local://?workers=2&workers=3", "says workers= twice"),
        ("local://?workers=2&hosts=3", "more hosts than workers"),
        ("local://?suspect=1s&heartbeat=1s", "longer than heartbeat="),
    ],
)
def test_an_address_that_means_nothing_says_what_would(url: str, says: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UsageError) as caught:
        parse_url(url)
    assert says in str(caught.value)
    if url:
        monkeypatch.setenv("HEADRACE_URL", url)
        with pytest.raises(UsageError):
            headrace.connect()


@given(st.text())
def test_no_text_has_another_error(text: str) -> None:
    for url in (text, f"local://{text}", f"local://?{text}", f"sim://?faults={text}&seed={text}"):
        with contextlib.suppress(UsageError):
            parse_url(url)


@given(st.integers(0, 1 << 40), st.sampled_from([("", 0), ("k", 1), ("KB", 1), ("MiB", 2), ("g", 3), ("TB", 4)]))
def test_sizes_are_powers_of_1024(number: int, unit: tuple[str, int]) -> None:
    assert parse_size(f"{number}{unit[0]}") == number << 10 * unit[1]


@given(st.integers(0, 10**9))
def test_durations_are_in_seconds_unless_they_say_otherwise(number: int) -> None:
    assert parse_duration(f"{number}ms") == number * MS
    assert parse_duration(f"{number}s") == parse_duration(str(number)) == number * 1000 * MS


def test_the_default_is_one_worker_for_every_usable_core() -> None:
    with headrace.connect("local://", progress=False) as ctx:
        assert ctx.config.workers == len(os.sched_getaffinity(0))
        assert ctx.default_parallelism == ctx.config.workers


def test_inline_is_this_very_process_and_thread() -> None:
    """So that a debugger's prompt, and what measures coverage, find the user's functions."""
    import threading

    with headrace.connect("inline://", progress=False) as ctx:
        here = (os.getpid(), threading.get_ident())
        assert ctx.range(4).map(lambda x: (os.getpid(), threading.get_ident())).distinct().collect() == [here]
        assert [worker.pid for worker in ctx.workers()] == [os.getpid()]


def test_temporary_data_stay_where_they_were_put_when_the_program_moves(
    lair: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A `dir=` is relative to where the program was when it connected."""
    monkeypatch.chdir(lair)
    (lair / "elsewhere").mkdir()
    with headrace.connect("local://?workers=2&hosts=2&dir=here", progress=False) as ctx:
        groups = ctx.range(100, num_slices=4).map(lambda x: (x % 7, x)).group_by_key()
        monkeypatch.chdir(lair / "elsewhere")
        assert groups.count() == 7
        assert ctx.parallelize(["x" * 1000] * 1000, 2).count() == 1000
        assert len(run_folders(lair / "here")) == 1
    assert run_folders(lair / "here") == []
    assert os.listdir(lair / "elsewhere") == []
