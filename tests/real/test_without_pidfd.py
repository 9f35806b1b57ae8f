"""Systems without pidfds and `waitid`, as macOS is: deaths are noticed all the same."""

from __future__ import annotations

import os
from operator import add

import pytest

import headrace
from headrace import testing
from headrace.errors import TaskFailed
from headrace.runtime.place import exits
from tests.real.help import children, until


def _no_pidfd(pid: int) -> int:
    return -1


@pytest.mark.parametrize("can_peek", [True, False])
def test_deaths_are_noticed(monkeypatch: pytest.MonkeyPatch, can_peek: bool) -> None:
    monkeypatch.setattr(exits, "CAN_PEEK", can_peek)
    monkeypatch.setattr(exits, "pidfd", _no_pidfd)
    before = children()
    with headrace.connect("local://?workers=2&hosts=2", progress=False) as ctx:
        sums = ctx.range(1000).map(lambda x: (x % 7, x)).reduce_by_key(add)
        expected = {k: sum(range(k, 1000, 7)) for k in range(7)}
        assert sums.collect_as_map() == expected
        first = until(ctx.workers, "somebody is there")[0]
        testing.kill_worker(ctx, first.id)
        until(lambda: first.id not in [worker.id for worker in ctx.workers()], "the dead is not in it")
        assert sums.collect_as_map() == expected
        testing.kill_host(ctx, until(ctx.workers, "somebody is there")[0].host)
        assert sums.collect_as_map() == expected
        with pytest.raises(TaskFailed, match="exited with status 7"):
            ctx.range(1).map(lambda x: os._exit(7)).count()
    assert children() == before
