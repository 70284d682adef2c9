"""How far work is: told by the loop inside, in the measure of whoever listens outside."""

from __future__ import annotations

import pytest

from workers.headway import span, tell, telling


def test_nobody_has_to_listen() -> None:
    tell(0.5)


def test_a_loop_s_share_is_the_share_of_the_span_that_it_stands_in() -> None:
    heard: list[float] = []
    with telling(heard.append):
        tell(0.0)
        with span(0.5, 1.0):
            tell(0.5)
            with span(0.5, 0.75):
                tell(1.0)
        tell(1.0)
    tell(0.3)
    assert heard == [0.0, 0.75, 0.875, 1.0]


def test_what_breaks_off_leaves_the_listener_outside_in_place() -> None:
    heard: list[float] = []
    with telling(heard.append):
        with pytest.raises(ZeroDivisionError), span(0.0, 0.5):
            tell(1 / 0)
        tell(1.0)
    assert heard == [1.0]
