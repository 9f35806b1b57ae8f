"""What a body is doing at this moment, as another thread of its process sees it: for attempts that take too long."""

from __future__ import annotations

import linecache
import types
from collections.abc import Sequence

from headrace.execute.blame import SAMPLE, is_ours, owners_of, shown_arguments
from headrace.execute.flow import Flow
from headrace.plan.hashing import class_name, printable, short
from headrace.plan.stages import Program


def doing(
    innermost: types.FrameType | None, outermost: types.CodeType, program: Program | None, flows: Sequence[Flow]
) -> str:
    """Say in words where a body is: the user's line that it is at, the operator, the record.

    Args:
        innermost: the frame that it is in.
        outermost: the code of the frame that began the body; what lies outside of that is not looked at.
        program: what the body runs, when it is known.

    """
    try:
        return printable(_doing(innermost, outermost, program, flows))
    except BaseException as error:  # a record's own methods may do anything
        return f"what it does cannot be told: asked for it, there was {class_name(error)}"


def _doing(
    frame: types.FrameType | None, outermost: types.CodeType, program: Program | None, flows: Sequence[Flow]
) -> str:
    owners = owners_of(program) if program is not None else {}
    innermost: types.FrameType | None = None  # of the frames of the user's in a row that are looked at
    line = operator = record = ""
    while frame is not None and frame.f_code is not outermost and not operator:
        if is_ours(frame):
            innermost = None  # what we have called ourselves, to wait for example, is no line of the user's
        else:
            innermost = innermost or frame
            if frame.f_code in owners:
                name, site = owners[frame.f_code]
                line, operator, record = _line(innermost), f"in {name} ({site})", shown_arguments(frame) or ""
        frame = frame.f_back
    if not record:
        record = next((short(value, SAMPLE) for at_hand, value in _at_hand(flows) if at_hand), "")
    if not operator and flows and (node := flows[-1].nodes[-1] if flows[-1].nodes else flows[-1].origin) is not None:
        operator = f"in {node.name} ({node.site})"
    return ", ".join(part for part in (line, operator, record and f"given {record}") if part)


def _line(frame: types.FrameType) -> str:
    name, number = frame.f_code.co_filename, frame.f_lineno
    text = linecache.getline(name, number).strip()
    return f"at {name}:{number} ({frame.f_code.co_name}{f': {text}' if text else ''})"


def _at_hand(flows: Sequence[Flow]) -> list[tuple[bool, object]]:
    return [flow.at_hand() for flow in reversed(flows)]
