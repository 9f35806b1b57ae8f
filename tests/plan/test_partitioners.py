"""How keys are dealt by hash and by a function of the user's."""

from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace.errors import ProgramError
from headrace.plan.functions import Site, UserFunction
from headrace.plan.partitioners import FunctionPartitioner, HashPartitioner
from tests.plan.keys import EQUAL_PAIRS


def by(function: Any, partitions: int = 4) -> FunctionPartitioner:
    return FunctionPartitioner(partitions, UserFunction(function, "partition_func", Site("test", 1, "test")))


@given(EQUAL_PAIRS, st.integers(1, 1000))
def test_equal_keys_go_to_the_same_partition(pair: tuple[Any, Any], partitions: int) -> None:
    deal = HashPartitioner(partitions)
    assert deal.partition(pair[0]) == deal.partition(pair[1])
    assert 0 <= deal.partition(pair[0]) < partitions


def test_equal_hash_partitioners_are_equal_and_others_not() -> None:
    assert HashPartitioner(4) == HashPartitioner(4)
    assert HashPartitioner(4) != HashPartitioner(5)

    def first(key: Any) -> int:
        return 0

    assert by(first) == by(first)
    assert by(first) != by(lambda key: 0)
    assert by(first, 4) != by(first, 5)


@given(st.integers(), st.integers(1, 9))
def test_a_function_deals_modulo_the_number_of_partitions(number: int, partitions: int) -> None:
    assert by(lambda key: key, partitions).partition(number) == number % partitions


def test_booleans_are_whole_numbers() -> None:
    assert by(lambda key: key > 3).partition(5) == 1


@pytest.mark.parametrize("wrong", [None, "1", "%d", 1.5, 2.0, math.nan, (1,)])
def test_what_is_not_a_whole_number_is_an_error_that_names_it(wrong: Any) -> None:
    with pytest.raises(ProgramError) as caught:
        by(lambda key: wrong).partition("some key")
    assert repr(wrong) in str(caught.value)
    assert "'some key'" in str(caught.value)
    assert "whole number" in str(caught.value)


def test_an_error_of_the_functions_own_is_not_dressed_up() -> None:
    with pytest.raises(TypeError, match="unsupported operand") as caught:
        by(lambda key: key % "x").partition(1)
    assert not isinstance(caught.value, ProgramError)
