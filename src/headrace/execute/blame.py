"""Whose fault: turn an exception in a task into what its user needs, their own frames first, then the operator and record.

Which operator raised is read off the traceback, where a function of the user's left a frame.  A function written in C leaves
none: then the record at hand is led through the fused operators once more, one at a time, until one of them raises again.
What is left was raised by our own loops, whose frames tell which operator they work for.
"""

from __future__ import annotations

import errno
import functools
import io
import traceback
import types
from collections.abc import Iterator, Sequence
from typing import Any

from msgspec import Struct

from headrace.errors import HeadraceError, ProgramError, WorldError
from headrace.execute.chunks import DataPickler
from headrace.execute.combine import key_of
from headrace.execute.flow import Flow, StoppedEarly, step_of
from headrace.execute.hints import hint
from headrace.execute.scatter import write_shuffle
from headrace.plan.functions import PROTOCOL, Site, UserFunction, in_engine
from headrace.plan.hashing import class_name, printable, short
from headrace.plan.operators import PerRecord
from headrace.plan.stages import Node, Program, ShuffleSink, ValueSink

SAMPLE = 200  # characters of a record in a message
SUMMARY = 4000  # characters of what an exception says of itself
GROUP = 5  # exceptions of a group that are told
FRAMES = 25  # of a traceback that are told, of each of its ends
PICKLED = 1 << 20  # bytes of an exception that travel
CHAIN = 10  # exceptions that led to each other that are told, the latest
PAIRWISE = {"keys", "values", "map_values", "flat_map_values"}
BORROWED = {"heapq", "json", "codecs", "encodings"}  # library code that our loops call: its frames are ours where we do
OF_THE_WORLD = {errno.EIO, errno.ENOSPC, errno.EDQUOT, errno.ENOMEM}
Found = tuple[str, Site, str | None]  # the operator, the line that defined it, and what it was given


class Blame(Struct, frozen=True):
    """What is known about an exception.

    Attributes:
        summary: the exception's own line, such as ``ValueError: no digits``.
        frames: the user's part of the traceback.
        operator, site: which operator raised, and the line that defined it; None if it cannot be told.
        record: the record that it was given, shortened.
        pickled: the exception itself, or None if it cannot travel.
        hint: what the operator expects of its function, where the exception does not say.
        world: it may come of what ails the machine.

    """

    summary: str
    frames: str
    operator: str | None
    site: Site | None
    record: str | None
    pickled: bytes | None
    hint: str = ""
    world: bool = False

    def text(self) -> str:
        """Say it in lines, the user's frames first."""
        lines = [f"Traceback of your code:\n{self.frames.rstrip()}"] if self.frames else []
        lines.append(self.summary)
        if self.hint:
            lines.append(self.hint)
        if self.operator and self.site:
            code = f": {self.site.code}" if self.site.code else ""
            lines.append(f"in {self.operator} ({self.site}{code})")
        if self.record is not None:
            lines.append(f"given {self.record}")
        return printable("\n".join(lines))


def blame(error: BaseException, program: Program | None, flows: Sequence[Flow]) -> Blame:
    """Find out what can be found out about an exception."""
    try:
        return _blame(error, program, flows)
    except BaseException as another:  # the exception's own methods, or those of the record, may do anything
        return Blame(
            f"{class_name(error)}, of which no more can be told: asked for it, there was {class_name(another)}",
            *("", None, None, None, None),
        )


def _blame(error: BaseException, program: Program | None, flows: Sequence[Flow]) -> Blame:
    operator: str | None = None
    site: Site | None = None
    record: str | None = None
    summary = _summary(error)
    if program is not None:
        found = _by_frame(error, program)
        if found is None or found[2] is None:  # a function that consumes a stream may have met what another raised
            if (met := _by_replay(error, flows)) is not None:
                node, at_fault = met
                found = node.name, node.site, short(at_fault, SAMPLE)
                summary = _not_a_pair(node, at_fault) or summary
            else:
                found = found or _by_engine(error, program)
        if found is not None:
            operator, site, record = found
    if record is None:
        for flow in reversed(flows):
            at_hand, value = flow.at_hand()
            if at_hand:
                record = short(value, SAMPLE)
                break
    frames = user_frames(error)
    said = hint(error, operator, frames)
    world = _is_of_the_world(error)
    return Blame(printable(summary), frames, operator, site, record, _pickled(error), said, world)


def _is_of_the_world(error: BaseException) -> bool:
    """Whether it comes of what ails a machine, and so may not come again: a full or broken disk, no memory."""
    for _ in range(CHAIN):
        if issubclass(type(error), WorldError | MemoryError):
            return True
        if issubclass(type(error), OSError) and getattr(error, "errno", None) in OF_THE_WORLD:
            return True
        cause = error.__cause__
        if cause is None:
            return False
        error = cause
    return False


def _summary(error: BaseException) -> str:
    if isinstance(error, HeadraceError):
        return str.__str__(str(error))  # ours says all there is to say
    lines = traceback.format_exception_only(error)
    text = "".join(lines[-1:]).strip() if not isinstance(error, SyntaxError) else "".join(lines).strip()
    if len(text) > SUMMARY:
        text = f"{text[:SUMMARY]}... ({len(text):,} characters)"
    if isinstance(error, BaseExceptionGroup):
        text += "".join(f"\n  {_summary(inner)}" for inner in error.exceptions[:GROUP])
    return text


def user_frames(error: BaseException) -> str:
    """Format the frames of a traceback that are not ours, and those of the exceptions that led to it."""
    told: list[str] = []
    for raised in _chain(error)[-CHAIN:]:
        frames, ours = [], False
        for summary, (frame, _) in zip(
            traceback.extract_tb(raised.__traceback__), traceback.walk_tb(raised.__traceback__), strict=True
        ):
            ours = is_ours(frame) or (ours and _package(frame) in BORROWED)
            if not ours:
                frames.append(summary)
        if (more := len(frames) - 2 * FRAMES) > 0:  # of a recursion without end, the two ends tell all
            gap = traceback.FrameSummary(f"{more:,} frames between", None, "...", lookup_line=False, line="")
            frames[FRAMES:-FRAMES] = [gap]
        if frames or (told and raised is error):
            told.append(
                "".join(traceback.format_list(frames)) + (f"{_summary(raised)}\n" if raised is not error else "")
            )
    return "\nwhich led to:\n\n".join(told)


def _package(frame: types.FrameType) -> str:
    return str(frame.f_globals.get("__name__", "")).partition(".")[0]


def is_ours(frame: types.FrameType) -> bool:
    """Whether a frame is none of the user's."""
    module = frame.f_globals.get("__name__", "")
    return in_engine(module) or module.partition(".")[0] == "cloudpickle"


def _chain(error: BaseException) -> list[BaseException]:
    """List an exception and those that led to it, the first one first."""
    chain: dict[int, BaseException] = {}
    here: BaseException | None = error
    while here is not None and id(here) not in chain:
        chain[id(here)] = here
        here = here.__cause__ or (None if here.__suppress_context__ else here.__context__)
    return list(chain.values())[::-1]


def _pickled(error: BaseException) -> bytes | None:
    sink = _Sink()
    try:
        DataPickler(sink, PROTOCOL).dump(error)
    except BaseException:  # a user's __reduce__ may do anything
        return None
    return sink.getvalue()


class _Sink(io.BytesIO):
    """Takes what may travel, and refuses more as soon as it comes: exceptions may hold whole datasets."""

    def write(self, data: Any) -> int:
        if self.tell() + len(data) > PICKLED:
            raise OverflowError
        return super().write(data)


# By frame.


def _functions(program: Program) -> Iterator[tuple[UserFunction, str, Site]]:
    """List the functions of a program with the operators that have them, the sink's first."""
    sink = program.sink
    if isinstance(sink, ValueSink):
        yield sink.function, sink.function.label, sink.function.site
    if isinstance(sink, ShuffleSink):
        for part in (sink.combine and (sink.combine.create, sink.combine.merge_value)) or ():
            if part is not None:
                yield part, sink.name, sink.site
        for extra in (sink.keyed_by, getattr(sink.partitioner, "function", None)):
            if extra is not None:
                yield extra, sink.name, sink.site
    for node in reversed(program.nodes):
        body: Any = node.body
        aggregate = getattr(body, "aggregate", None)
        for function in (getattr(body, "function", None), getattr(aggregate, "merge_combiners", None)):
            if function is not None:
                yield function, node.name, node.site


def _codes(call: Any, depth: int = 4) -> Iterator[types.CodeType]:
    """List the code objects behind a callable: of functions, methods, partials and callable objects."""
    if depth == 0:
        return
    if isinstance(call, functools.partial):
        yield from _codes(call.func, depth - 1)
        for argument in (*call.args, *call.keywords.values()):
            if callable(argument):
                yield from _codes(argument, depth - 1)
        return
    call = getattr(call, "__func__", call)
    code = getattr(call, "__code__", None)
    if isinstance(code, types.CodeType):
        yield code
        for cell in getattr(call, "__closure__", None) or ():
            try:
                inner = cell.cell_contents
            except ValueError:
                continue
            if isinstance(inner, types.FunctionType | functools.partial):
                yield from _codes(inner, depth - 1)
    elif not isinstance(call, type) and callable(call):
        yield from _codes(getattr(type(call).__call__, "__func__", type(call).__call__), depth - 1)


def owners_of(program: Program) -> dict[types.CodeType, tuple[str, Site]]:
    """Say which operator each function of a program belongs to, and which line defined that."""
    owners: dict[types.CodeType, tuple[str, Site]] = {}
    for function, name, site in _functions(program):
        for code in _codes(function.call):
            owners.setdefault(code, (name, site))
    return owners


def _by_frame(error: BaseException, program: Program) -> Found | None:
    owners = owners_of(program)
    for raised in _chain(error):
        found = None
        for frame, _ in traceback.walk_tb(raised.__traceback__):
            owner = owners.get(frame.f_code)
            if owner is not None and not in_engine(frame.f_globals.get("__name__", "")):
                found = (*owner, shown_arguments(frame))
        if found is not None:
            return found
    return None


def shown_arguments(frame: types.FrameType) -> str | None:
    """Show what a function was called with, as far as its variables still say; None for a stream of records."""
    code = frame.f_code
    names = code.co_varnames[: code.co_argcount]
    values = [frame.f_locals[name] for name in names if name in frame.f_locals and name != "self"]
    if any(isinstance(value, Iterator) for value in values):
        return None
    if len(values) == 1:
        return short(values[0], SAMPLE)
    return ", ".join(short(value, SAMPLE // 2) for value in values[:3])


# By replay.


def _by_replay(error: BaseException, flows: Sequence[Flow]) -> tuple[Node, Any] | None:
    if isinstance(error, ProgramError) and not isinstance(error, StoppedEarly):
        return None  # ours, and not about a function of the user's
    for flow in reversed(flows):
        at_hand, value = flow.at_hand()
        if at_hand:
            found = _replay(error, flow.nodes, value)
            if found is not None:
                return found
    return None


def _replay(error: BaseException, nodes: Sequence[Node], value: Any) -> tuple[Node, Any] | None:
    records = [value]
    for node in nodes:
        step, results = step_of(node), []
        for record in records:
            alone = Flow([(record,)]).then(step, node)
            try:
                results += list(alone.records())
            except type(error):
                return node, record
            except BaseException:  # something else this time: then we do not know
                return None
        records = results
    return None


def _not_a_pair(node: Node, record: Any) -> str | None:
    """Say that an operator on pairs was given something else; Python's complaint names neither."""
    if not isinstance(node.body, PerRecord) or node.body.kind not in PAIRWISE or isinstance(record, Iterator):
        return None
    try:
        if node.body.kind in ("keys", "values"):
            record[0], record[1]
        else:
            _, _ = record
    except Exception:  # whatever Python said about it
        try:
            key_of(record)
        except ProgramError as ours:
            return str(ours)
    return None


# By our own frames.


def _by_engine(error: BaseException, program: Program) -> Found:
    """Find the operator that the innermost of our loops works for; the last one if none says."""
    sink, tip = program.sink, program.nodes[-1]
    found: Found = (tip.name, tip.site, None)
    if isinstance(sink, ValueSink):
        found = sink.function.label, sink.function.site, None
    for frame, _ in traceback.walk_tb(error.__traceback__):
        flow = frame.f_locals.get("self")
        if frame.f_code is write_shuffle.__code__ and isinstance(sink, ShuffleSink):
            found = sink.name, sink.site, None
        elif isinstance(flow, Flow) and flow.origin is not None and _asks_its_origin(flow, frame.f_code):
            found = flow.origin.name, flow.origin.site, None
    return found


def _asks_its_origin(flow: Flow, code: types.CodeType) -> bool:
    """Whether a method of a flow's waits for a chunk; otherwise it is busy with the operators on top."""
    return code is Flow.streams.__code__ or (code is Flow.lists.__code__ and not flow.steps)
