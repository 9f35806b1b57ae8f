"""What sessions promise to whoever waits until something has happened or a time has come."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

import headrace
from headrace.config import MS
from headrace.context import Context
from headrace.loops.session import Session
from headrace.plan.stages import RecordsSink
from headrace.ports import Flag
from headrace.runtime.gate import ThreadGate
from headrace.runtime.inline import InlineFlag
from headrace.sim.bodies import SimFlag


class WaitingContract:
    @pytest.fixture
    def ctx(self) -> Iterator[Context]:
        raise NotImplementedError("connect")

    @pytest.fixture
    def session(self, ctx: Context) -> Session:
        return ctx._session

    def flag(self) -> Flag:
        raise NotImplementedError("make one")

    def test_a_time_that_comes_first_ends_the_wait(self, session: Session) -> None:
        until = session.now_ns() + 30 * MS
        assert not session.wait_until(self.flag(), until)
        assert session.now_ns() >= until

    def test_a_time_that_is_over_is_not_waited_for(self, session: Session) -> None:
        assert not session.wait_until(self.flag(), session.now_ns() - 5)

    def test_what_has_happened_is_not_waited_for(self, session: Session) -> None:
        flag = self.flag()
        flag.set()
        assert session.wait_until(flag, session.now_ns() - 5)
        assert session.wait_until(flag, session.now_ns() + 3600_000 * MS)

    def test_what_happens_first_ends_the_wait(self, ctx: Context, session: Session) -> None:
        engine = ctx._engine
        handle = engine.start(ctx.range(3)._operator, RecordsSink(), "collect")
        until = session.now_ns() + 3600_000 * MS
        assert session.wait_until(handle.ended, until)
        assert session.now_ns() < until


class TestLocal(WaitingContract):
    @pytest.fixture
    def ctx(self) -> Iterator[Context]:
        with headrace.connect("local://?workers=1", progress=False) as ctx:
            yield ctx

    def flag(self) -> Flag:
        return ThreadGate().flag()


class TestInline(WaitingContract):
    @pytest.fixture
    def ctx(self) -> Iterator[Context]:
        with headrace.connect("inline://", progress=False) as ctx:
            yield ctx

    def flag(self) -> Flag:
        return InlineFlag()


class TestSimulated(WaitingContract):
    @pytest.fixture
    def ctx(self) -> Iterator[Context]:
        with headrace.connect("sim://?seed=4", progress=False) as ctx:
            yield ctx

    def flag(self) -> Flag:
        return SimFlag()

    def test_virtual_time_stops_where_the_wait_does(self, session: Session) -> None:
        until = session.now_ns() + 123_456_789
        assert not session.wait_until(self.flag(), until)
        assert session.now_ns() == until
