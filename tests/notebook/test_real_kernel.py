"""A real kernel, where ipykernel and jupyter_client are installed: one display, and interrupting a cell ends its job."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import pytest

pytest.importorskip("ipykernel", reason="ipykernel is not installed: pip install ipykernel jupyter_client to try it")
manager: Any = pytest.importorskip("jupyter_client.manager", reason="jupyter_client is not installed")

START = """
import headrace, time
ctx = headrace.connect("local://?workers=2")
"""
SLOW = "ctx.range(8, num_slices=8).map(lambda x: time.sleep(0.4) or x).sum()"
LONG = "ctx.range(2, num_slices=2).map(lambda x: time.sleep(600)).count()"


class Kernel:
    """A kernel and a client of it."""

    def __init__(self) -> None:
        self.manager, self.client = manager.start_new_kernel(startup_timeout=60)

    def run(self, code: str, interrupt_when: str = "") -> list[dict[str, Any]]:
        """Run a cell; return what it published."""
        request = self.client.execute(code)
        published = []
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            message = self.client.get_iopub_msg(timeout=60)
            if message["parent_header"].get("msg_id") != request:
                continue
            published.append(message)
            if interrupt_when and message["msg_type"] == interrupt_when:
                self.manager.interrupt_kernel()
                interrupt_when = ""
            if message["msg_type"] == "status" and message["content"]["execution_state"] == "idle":
                return published
        raise AssertionError(f"the cell has not ended: {published}")

    def text(self, code: str) -> str:
        """Run a cell and return its value as text."""
        (result,) = [m for m in self.run(code) if m["msg_type"] == "execute_result"]
        return str(result["content"]["data"]["text/plain"])


@pytest.fixture(scope="module")
def kernel() -> Iterator[Kernel]:
    kernel = Kernel()
    kernel.run(START)
    yield kernel
    kernel.run("ctx.close()")
    kernel.client.stop_channels()
    kernel.manager.shutdown_kernel()


def test_progress_is_one_display_updated_in_place(kernel: Kernel) -> None:
    published = kernel.run(SLOW)
    shown = [m for m in published if m["msg_type"] == "display_data"]
    updates = [m for m in published if m["msg_type"] == "update_display_data"]
    assert len(shown) == 1
    assert len(updates) >= 2
    assert {m["content"]["transient"]["display_id"] for m in (*shown, *updates)} == {
        shown[0]["content"]["transient"]["display_id"]
    }
    assert "<table" in updates[-1]["content"]["data"]["text/html"]


def test_interrupting_a_cell_ends_its_job_and_the_next_one_runs(kernel: Kernel) -> None:
    published = kernel.run(LONG, interrupt_when="display_data")
    (error,) = [m for m in published if m["msg_type"] == "error"]
    assert error["content"]["ename"] == "KeyboardInterrupt"
    assert kernel.text("ctx.range(10).sum()") == "45"
    assert "cancelled" in kernel.text("[row[3] for row in ctx._onlookers.ledger.rows()]")


def test_datasets_plans_and_contexts_have_html(kernel: Kernel) -> None:
    for what in ("ctx.range(3)", "ctx.range(3).explain()", "ctx"):
        (result,) = [m for m in kernel.run(what) if m["msg_type"] == "execute_result"]
        assert "<div" in result["content"]["data"]["text/html"]
