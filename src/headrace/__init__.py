"""One engine for batch, streams, loops and training that survives the loss of any process with exact results.

Importing this starts nothing and loads no heavy library: names are found when they are first used.
"""

from __future__ import annotations

import importlib
import sys
from typing import TYPE_CHECKING, Any

from headrace import version

if sys.platform == "win32":
    raise ImportError("headrace runs on Linux and macOS; on Windows, run it inside WSL 2.")

if TYPE_CHECKING:
    from headrace import errors as errors
    from headrace import testing as testing
    from headrace.context import Context, connect
    from headrace.dataset import Dataset
    from headrace.errors import TaskFailed
    from headrace.execute.barriers import BarrierTaskContext, BarrierTaskInfo
    from headrace.execute.context import TaskContext
    from headrace.execute.shared import Accumulator, AccumulatorParam, Broadcast
    from headrace.execute.shipped import files
    from headrace.plan.levels import StorageLevel

__version__ = version.VERSION
__all__ = [
    "Accumulator",
    "AccumulatorParam",
    "BarrierTaskContext",
    "BarrierTaskInfo",
    "Broadcast",
    "Context",
    "Dataset",
    "StorageLevel",
    "TaskContext",
    "TaskFailed",
    "__version__",
    "connect",
    "errors",
    "files",
    "testing",
]

_WHERE = {
    "Accumulator": "headrace.execute.shared",
    "AccumulatorParam": "headrace.execute.shared",
    "BarrierTaskContext": "headrace.execute.barriers",
    "BarrierTaskInfo": "headrace.execute.barriers",
    "Broadcast": "headrace.execute.shared",
    "Context": "headrace.context",
    "Dataset": "headrace.dataset",
    "StorageLevel": "headrace.plan.levels",
    "TaskContext": "headrace.execute.context",
    "TaskFailed": "headrace.errors",
    "connect": "headrace.context",
    "files": "headrace.execute.shipped",
}


def __getattr__(name: str) -> Any:
    if name in ("errors", "testing"):
        return importlib.import_module(f"headrace.{name}")
    if name in _WHERE:
        value = getattr(importlib.import_module(_WHERE[name]), name)
        globals()[name] = value
        return value
    raise AttributeError(f"module 'headrace' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
