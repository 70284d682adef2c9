"""What is made ahead comes in order, and ends when nobody wants it."""

from __future__ import annotations

import threading

import pytest

from workers.minibatch.ahead import AHEAD, ahead


def test_all_comes_in_order() -> None:
    assert list(ahead(lambda number: number * number, range(7))) == [0, 1, 4, 9, 16, 25, 36]


def test_no_more_is_made_than_wait() -> None:
    made: list[int] = []
    found = ahead(made.append, range(100))
    next(found)
    found.close()
    assert len(made) <= 2 + AHEAD
    assert not any(thread.name.startswith("ahead") for thread in threading.enumerate())


def test_an_error_comes_where_its_result_would_have() -> None:
    found = ahead(lambda number: 1 // (2 - number), range(5))
    assert [next(found), next(found)] == [0, 1]
    with pytest.raises(ZeroDivisionError):
        next(found)
