"""How many workers are wanted: the limits hold whatever the work, and a fleet shrinks late."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from ridgeway.engines.scaling import Limits, Scale, Share, room_for

counts = st.integers(0, 1000)


@given(pieces=counts, room=counts, fewest=st.integers(0, 20), more=counts)
def test_between_its_limits_there_is_a_worker_for_each_piece_of_work(pieces, room, fewest, more):
    limits = Limits(fewest, fewest + more)
    wanted = limits.clamp(pieces, room)
    assert fewest <= wanted <= fewest + more
    assert wanted == pieces or pieces < fewest or pieces > fewest + more


def test_without_a_largest_number_it_is_what_the_nodes_hold():
    limits = Limits(fewest=2, most=None)
    assert limits.clamp(pieces=50, room=6) == 6
    assert limits.clamp(pieces=3, room=6) == 3
    assert limits.clamp(pieces=50, room=0) == 2  # asked of a cluster that has no node yet


def test_room_is_counted_node_by_node():
    nodes = [{"CPU": 4.0, "GPU": 2.0}, {"CPU": 0.9}, {"CPU": 1.0, "GPU": 8.0}, {"memory": 1e9}]
    assert room_for(nodes, Share(cpus=1.0)) == 4 + 0 + 1
    assert room_for(nodes, Share(cpus=0.3)) == 13 + 3 + 3
    assert room_for(nodes, Share(cpus=1.0, gpu=True)) == 2 + 0 + 1


def test_a_fleet_grows_at_once_and_shrinks_when_it_was_too_large_for_long_enough():
    scale = Scale(Limits(0, 100), idle_seconds=60.0)
    told = [(0, 1), (1, 8), (2, 3), (30, 5), (61, 0), (62, 0), (90, 0), (91, 0), (130, 7)]
    targets = [scale.target(pieces, room=0, now=now) for now, pieces in told]
    assert targets == [1, 8, 8, 8, 8, 5, 5, 0, 7]


@given(
    wanted=st.lists(st.tuples(st.floats(0.1, 50), st.integers(0, 30)), min_size=1, max_size=40),
    idle=st.floats(0, 100),
)
def test_the_target_is_the_most_that_was_wanted_in_that_time(wanted, idle):
    scale, now, seen = Scale(Limits(0, 30), idle), 0.0, []
    for pause, pieces in wanted:
        now += pause
        seen.append((now, pieces))
        lately = [count for at, count in seen if at >= now - idle]
        assert scale.target(pieces, room=0, now=now) == max(lately)
