"""What a notebook is shown: whatever the user's names are, no markup of theirs, no job, and one display for each job."""

from __future__ import annotations

import sys
import types
from html.parser import HTMLParser
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import headrace
from headrace.context import Context
from headrace.observe.progress import Display, Progress, StageProgress
from headrace.plan.html import Plan, box, table
from tests.real.help import until

OURS = {"div", "b", "table", "tr", "td", "th", "br"}


class Reader(HTMLParser):
    """Collects the tags and the text of a page, and complains about tags that are not closed."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.text: list[str] = []
        self._open: list[str] = []
        self.feed(page)
        self.close()
        assert not self._open

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        self.tags.add(tag)
        if tag != "br":
            self._open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text.append(data)


def read(page: str) -> Reader:
    reader = Reader(page)
    assert reader.tags <= OURS
    return reader


@given(st.text(max_size=30), st.lists(st.lists(st.text(max_size=30), max_size=3), max_size=4))
def test_every_text_is_shown_as_it_is(title: str, rows: list[list[str]]) -> None:
    shown = "".join(read(box(title, table(rows))).text)
    wanted = title + "".join(cell for row in rows for cell in row)
    assert shown == wanted


@given(st.text(st.characters(exclude_categories=["C", "Z"]), min_size=1, max_size=30))
def test_a_plan_is_its_text_and_has_a_box_for_each_stage(text: str) -> None:
    plan = Plan(f"stage 1 (map)\n  fused:    {text}\nstage 2 (result)\n  reads:    shuffle 1")
    page = plan._repr_html_()
    assert page.count("<div") == 2
    assert text in "".join(read(page).text)
    assert isinstance(plan, str)
    assert f"{plan}" == repr(plan) == str.__str__(plan)


EVIL = "<script>alert(1)</script>"


def test_names_of_functions_and_files_are_escaped_and_no_job_is_run(inline: Context, tmp_path: Any) -> None:
    def stop(x: str) -> str:
        raise AssertionError("displaying ran a job")

    stop.__qualname__ = EVIL
    path = tmp_path / "<img src=x onerror=alert(1)>.txt"
    path.write_text("a\n")
    code = compile("made = data.map(stop).key_by(stop).group_by_key()", f"{EVIL}.py", "exec")
    space: dict[str, Any] = {"data": inline.text_file(path), "stop": stop}
    exec(code, space)
    made = space["made"].cache()
    for page in (made._repr_html_(), made.explain()._repr_html_(), inline._repr_html_()):
        read(page)
    assert EVIL in "".join(read(made.explain()._repr_html_()).text)
    assert f"{EVIL}.py:1" in "".join(read(made._repr_html_()).text)
    assert "memory" in "".join(read(made._repr_html_()).text), "where it is kept"
    assert not inline._onlookers.ledger.rows()


def test_a_long_lineage_is_shown_in_part(inline: Context) -> None:
    made = inline.range(3)
    for _ in range(50):
        made = made.map(abs)
    page = read(made._repr_html_())
    assert "and 39 more" in page.text


def test_a_context_shows_its_workers_and_jobs() -> None:
    with headrace.connect("inline://?max_failures=1", progress=False) as ctx:
        ctx.range(4, num_slices=3).sum()
        with pytest.raises(headrace.TaskFailed):
            ctx.range(1).map(lambda x: 1 // x).count()
        text = read(ctx._repr_html_()).text
        jobs = [row[1:4] for row in ctx._onlookers.ledger.rows()]
        assert jobs == [("sum", "3", "done"), ("count", "1", "failed")]
        assert {"sum", "count", "w1", "idle"} <= set(text)
        for _ in range(30):
            ctx.range(1).count()
        assert len(ctx._onlookers.ledger.rows()) == 20
    assert "closed" in "".join(read(ctx._repr_html_()).text)


FAKES: list[FakeDisplay] = []


class FakeDisplay:
    """What `IPython.display` has, as far as it is used; remembers what was shown where."""

    def __init__(self) -> None:
        self.shown: list[list[str]] = []
        self.broken = False

    class HTML:
        def __init__(self, data: str) -> None:
            self.data = data

    def display(self, page: Any, *, display_id: bool) -> Any:
        assert display_id
        pages = [page.data]
        self.shown.append(pages)

        def update(page: Any) -> None:
            if self.broken:
                raise OSError("the browser is gone")
            pages.append(page.data)

        return types.SimpleNamespace(update=update)


@pytest.fixture
def ipython(monkeypatch: pytest.MonkeyPatch) -> FakeDisplay:
    fake = FakeDisplay()
    FAKES.append(fake)
    module: Any = types.ModuleType("IPython")
    module.get_ipython = lambda: types.SimpleNamespace(config={"IPKernelApp": {}})
    shown: Any = types.ModuleType("IPython.display")
    shown.HTML, shown.display = fake.HTML, fake.display
    monkeypatch.setitem(sys.modules, "IPython", module)
    monkeypatch.setitem(sys.modules, "IPython.display", shown)
    monkeypatch.setattr("headrace.observe.progress.PATIENCE", 0.0)
    monkeypatch.setattr("headrace.observe.progress.CELL_FRAME", 0.01)
    return fake


def displayed(number: int) -> int:
    """Goes on when the job that it runs in has been shown and updated; runs in this process."""
    until(lambda: len(FAKES[-1].shown) == number and (FAKES[-1].broken or len(FAKES[-1].shown[-1]) > 2), "a display")
    return number


def test_a_job_has_one_display_that_is_updated_in_place(
    ipython: FakeDisplay, capfd: pytest.CaptureFixture[str]
) -> None:
    with headrace.connect("inline://") as ctx:
        assert ctx.parallelize([1, 1]).map(displayed).sum() == 2
        until(lambda: "ended after" in ipython.shown[0][-1], "the last frame")
        assert ctx.parallelize([2, 2]).map(displayed).sum() == 4
        until(lambda: "ended after" in ipython.shown[1][-1], "the last frame of the second job")
    assert "stage" not in capfd.readouterr().err, "and nothing in the terminal"
    for pages in ipython.shown:
        assert "ended after" not in "".join(pages[:-1])
        for page in pages:
            read(page)


def test_a_display_that_breaks_breaks_no_job(ipython: FakeDisplay) -> None:
    ipython.broken = True
    with headrace.connect("inline://") as ctx:
        assert ctx.parallelize([1, 1]).map(displayed).sum() == 2
        assert ctx.range(10).sum() == 45


def test_names_of_stages_are_escaped_while_they_run(ipython: FakeDisplay) -> None:
    progress = Progress()
    progress.stages[1] = StageProgress(EVIL, 4, done=1)  # type: ignore[index]
    progress.since = 0.0
    display = Display(progress, live=False, notebook=True)
    until(lambda: ipython.shown and len(ipython.shown[0]) > 2, "it is updated")
    progress.since = None
    display.close()
    assert f"1 {EVIL}" in read(ipython.shown[0][0]).text


def test_a_shell_in_a_terminal_is_no_notebook(ipython: FakeDisplay, monkeypatch: pytest.MonkeyPatch) -> None:
    from headrace.observe.notebook import is_notebook

    assert is_notebook()
    modules: Any = sys.modules
    modules["IPython"].get_ipython = lambda: types.SimpleNamespace(config={})
    assert not is_notebook()
    modules["IPython"].get_ipython = lambda: None
    assert not is_notebook()
    monkeypatch.delitem(modules, "IPython")
    assert not is_notebook()
