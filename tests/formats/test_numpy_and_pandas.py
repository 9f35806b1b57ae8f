"""Arrays and frames give rows, and rows give arrays and frames; programs without them import neither."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import pytest

from headrace.context import Context
from headrace.errors import ModuleMissing, UsageError
from headrace.execute.chunks import sizeof

# In the program itself, without the two packages.


def test_nothing_is_imported_unless_the_program_imports_it() -> None:
    code = (
        "import sys, headrace\n"
        "with headrace.connect('inline://', progress=False) as ctx:\n"
        "    assert ctx.parallelize([(1, 2.0), 'x'], 2).map(str).count() == 2\n"
        "    assert ctx.parallelize({'a': 1}).collect() == ['a']\n"
        "assert not {'numpy', 'pandas', 'zstandard'} & set(sys.modules)\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


@pytest.mark.parametrize("package", ["pandas", "numpy"])
def test_without_the_package_the_error_says_what_to_install(
    inline: Context, package: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, package, None)  # as if it were not installed
    with pytest.raises(ModuleMissing, match=f"pip install {package}"):
        getattr(inline.range(3), f"to_{package}")()


# With them.


@pytest.fixture
def numpy() -> Any:
    return pytest.importorskip("numpy")


@pytest.fixture
def pandas() -> Any:
    return pytest.importorskip("pandas")


@pytest.mark.parametrize("slices", [1, 3, 20])
def test_an_array_of_one_dimension_gives_python_s_own_values(inline: Context, numpy: Any, slices: int) -> None:
    for given in ([1, 2, 3], [1.5, float("inf")], ["a", "bc"], [True, False], [1j], [b"x"], [], [None, (1,), "x"]):
        array = numpy.array(given, dtype=object if None in given else None)
        found = inline.parallelize(array, slices).collect()
        assert found == given
        assert list(map(type, found)) == list(map(type, given))
    times = numpy.array(["2024-01-01T00:00:00.000000001"], "datetime64[ns]")
    assert inline.parallelize(times).collect() == list(times), "a nanosecond is nothing that Python has"


@pytest.mark.parametrize("shape", [(7, 2), (5000, 3), (4, 2, 3), (3, 0), (0, 2)])
def test_an_array_of_more_dimensions_gives_its_rows(local: Context, numpy: Any, shape: tuple[int, ...]) -> None:
    array = numpy.arange(numpy.prod(shape), dtype="float32").reshape(shape)
    rows = local.parallelize(array, 3)
    found = rows.collect()
    assert len(found) == shape[0]
    assert all(one.shape == shape[1:] and one.dtype == array.dtype for one in found)
    if shape[0]:
        assert (numpy.array(found) == array).all()
        assert (rows.to_numpy() == array).all()
        assert rows.map(lambda row: float(row.sum())).sum() == pytest.approx(float(array.sum()), rel=1e-3)
    assert rows.get_num_partitions() == 3


def test_a_change_to_the_array_afterwards_changes_nothing(inline: Context, numpy: Any) -> None:
    array = numpy.ones((4, 2))
    rows = inline.parallelize(array)
    array[:] = 0
    assert sum(float(row.sum()) for row in rows.collect()) == 8


def test_a_view_counts_what_it_shows(numpy: Any) -> None:
    """What a task holds must not depend on which of its arrays own their memory."""
    array = numpy.zeros((1000, 100))
    assert sizeof(array[0]) == sizeof(array[0].copy()) >= 800


def test_an_array_without_rows_is_refused(inline: Context, numpy: Any) -> None:
    with pytest.raises(UsageError, match="at least one dimension"):
        inline.parallelize(numpy.array(5))


def test_a_frame_gives_dictionaries_and_comes_back(local: Context, pandas: Any) -> None:
    frame = pandas.DataFrame({"a": [1, 2, 3], "b": ["x", "y", "z"], 3: [0.5, 1.5, 2.5]}, index=[9, 8, 7])
    rows = local.parallelize(frame, 2)
    assert rows.collect() == [{"a": 1, "b": "x", 3: 0.5}, {"a": 2, "b": "y", 3: 1.5}, {"a": 3, "b": "z", 3: 2.5}]
    assert {type(row["a"]) for row in rows.collect()} == {int}
    pandas.testing.assert_frame_equal(rows.to_pandas(), frame.reset_index(drop=True))
    assert local.parallelize(frame["a"]).collect() == [1, 2, 3]
    assert local.parallelize(frame.columns).collect() == ["a", "b", 3]
    assert list(local.parallelize([(1, 2), (3, 4)]).to_pandas().columns) == [0, 1]
    assert local.range(3).to_pandas()[0].tolist() == [0, 1, 2]


def test_a_frame_with_two_columns_of_one_name_is_refused(inline: Context, pandas: Any) -> None:
    with pytest.raises(UsageError, match="different names"):
        inline.parallelize(pandas.DataFrame([[1, 2]], columns=["a", "a"]))


def test_a_kind_of_element_may_be_asked_for(inline: Context, numpy: Any) -> None:
    assert inline.range(3).to_numpy("float32").dtype == "float32"
