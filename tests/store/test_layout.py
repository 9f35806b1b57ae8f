"""Names of blocks come from peers: nothing but a block of one's own host can be named."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace.ids import AttemptId, HostId, StageId
from headrace.store.layout import Layout, cache_name, map_output_name, result_name

LAYOUT = Layout("/run")
HOST = HostId("h1")
NAMES = ["shuffle/3/5-17", "result/9", "slice-1-0", "broadcast-4", "code-abc.def"]
REFUSED = [
    *("", ".", "..", "/", "/etc/passwd", "../h2/shuffle/1/0-1", "shuffle/../../h2/x", "shuffle/1/0-1/../../x"),
    *("shuffle/", "shuffle/1", "shuffle/1/", "shuffle/1/0", "shuffle/1/0-", "shuffle/-1/0-1"),
    *("shuffle/1/0-1.data", "shuffle/1/0-1\n", "shuffle/\u0661/0-1", "result/", "result/1/2", "result/x"),
    *(".hidden", "-x", "a/b", "a\\..\\b", "a\0b", "a b", "~root", "w1/3.scratch", "1-slice", "é"),
]


def test_what_we_name_ourselves_is_a_name() -> None:
    for name in (map_output_name(StageId(3), 5, AttemptId(7)), result_name(AttemptId(7)), cache_name(1, 2), *NAMES):
        assert LAYOUT.path(HOST, name) == f"/run/h1/{name}"


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_no_name_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="is not the name of a block"):
        LAYOUT.path(HOST, name)


@given(st.text("./-a1\\\0\n", max_size=12))
def test_no_name_leads_out_of_the_hosts_folder_or_to_a_workers_own(name: str) -> None:
    try:
        path = LAYOUT.path(HOST, name)
    except ValueError:
        return
    parts = path.removeprefix("/run/h1/").split("/")
    assert path.startswith("/run/h1/")
    assert ".." not in parts
    assert "." not in parts
    assert "" not in parts
    assert len(parts) == 1 or parts[0] in ("shuffle", "result", "cache")
