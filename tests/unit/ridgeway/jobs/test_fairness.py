"""Whose turn it is: by weight among keys, by priority and time among a key's jobs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ridgeway.jobs import fairness
from ridgeway.jobs.fairness import Account, Candidate, in_turn

OWNERS = ("", "ann", "ben")
JOB = Candidate("job", "", 0, 0.0, True, 200, 0.0, 10.0)


def job(job_id: str, **changes: object) -> Candidate:
    return JOB._replace(job_id=job_id, **changes)


def order(
    jobs: Sequence[Candidate], *accounts: Account, reached: float = 0.0, last: str | None = None
) -> list[str]:
    known = {owner: Account(owner) for owner in OWNERS}
    known |= {account.owner: account for account in accounts}
    return [each.job_id for each in in_turn(jobs, known, reached, last)]


TIMES = st.floats(0, 1e6)
ACCOUNTS = st.tuples(
    *(
        st.builds(
            Account, st.just(owner), st.integers(1, 1000), st.none() | TIMES, TIMES, st.booleans()
        )
        for owner in OWNERS
    )
)
JOBS = st.lists(
    st.builds(
        Candidate,
        job_id=st.uuids().map(str),
        owner=st.sampled_from(OWNERS),
        priority=st.integers(-2, 2),
        virtual_time=TIMES,
        begun=st.booleans(),
        trials=st.integers(1, 10**6),
        created_at=TIMES,
        seconds=st.none() | st.floats(0, 1e5),
    ),
    max_size=12,
    unique_by=lambda each: each.job_id,
)


@given(JOBS, ACCOUNTS, TIMES, st.integers(-1, 11))
def test_every_job_has_one_turn_and_a_higher_priority_of_its_key_comes_before(
    jobs, accounts, reached, last
):
    staying = jobs[last].job_id if 0 <= last < len(jobs) else None
    known = {account.owner: account for account in accounts}
    found = list(in_turn(jobs, known, reached, staying))
    assert sorted(each.job_id for each in found) == sorted(each.job_id for each in jobs)
    for owner in OWNERS:
        priorities = [each.priority for each in found if each.owner == owner]
        assert priorities == sorted(priorities, reverse=True)
    assert list(in_turn(jobs[::-1], known, reached, staying)) == found


@given(JOBS, ACCOUNTS, TIMES)
def test_jobs_that_have_not_begun_take_at_most_every_second_turn_of_a_key(jobs, accounts, reached):
    found = list(in_turn(jobs, {each.owner: each for each in accounts}, reached))
    for account in accounts:
        for priority in range(-2, 3):
            own = [
                each for each in found if (each.owner, each.priority) == (account.owner, priority)
            ]
            for place, (one, other) in enumerate(pairwise(own)):
                if not one.begun and not other.begun:
                    assert not any(each.begun for each in own[place:])
                if one.begun and other.begun:
                    assert all(each.begun for each in own[place:])


@given(JOBS, ACCOUNTS, TIMES)
def test_the_key_that_had_least_by_weight_is_first(jobs, accounts, reached):
    found = next(in_turn(jobs, {each.owner: each for each in accounts}, reached), None)
    if found is None:
        return
    waiting = {each.owner for each in jobs}

    def time(account: Account) -> float:
        new = reached - fairness.STAY_SECONDS / account.weight
        return new if account.virtual_time is None else account.virtual_time

    least = min(time(each) for each in accounts if each.owner in waiting)
    assert time(next(each for each in accounts if each.owner == found.owner)) == least


def test_claims_at_once_are_shared_out_by_weight():
    jobs = [job(f"{owner}{n}", owner=owner) for owner in ("ann", "ben") for n in range(30)]
    ann, ben = Account("ann", 1, 0.0), Account("ben", 2, 0.0)
    first = order(jobs, ann, ben)[:30]
    assert Counter(each[:3] for each in first) == {"ann": 10, "ben": 20}


def test_a_small_job_that_has_not_begun_is_first_or_second_whatever_is_before_it():
    big = [job(f"big {n}", virtual_time=float(n), begun=n % 2 == 0) for n in range(50)]
    small = job("small", begun=False, trials=20, created_at=99.0)
    assert order([*big, small]).index("small") == 0
    assert order([*big, small], Account("", began=True)).index("small") == 1


def test_small_jobs_do_not_keep_a_large_one_waiting_for_ever():
    large = job("large", begun=False, trials=20_000)
    later = 11 * fairness.LATER_SECONDS
    small = [job(f"small {n}", begun=False, trials=20, created_at=later + n) for n in range(9)]
    assert order([*small, large])[0] == "large"


def test_a_worker_stays_with_a_job_that_is_little_ahead_until_another_is_to_begin():
    ahead = job("ahead", virtual_time=fairness.STAY_SECONDS - 1)
    behind, far = job("behind"), job("far", virtual_time=fairness.STAY_SECONDS + 1)
    new = job("new", begun=False)
    assert order([ahead, behind, far], last="ahead")[0] == "ahead"
    assert order([ahead, behind, far], last="far")[0] == "behind"
    assert order([ahead, behind, far, new], last="ahead")[0] == "new"
    assert order([ahead, job("urgent", priority=1)], last="ahead")[0] == "urgent"
    elsewhere = job("elsewhere", owner="ann", begun=False)
    shared = (Account("ann", 1, 1.0), Account("", 1, 2.0))
    assert order([ahead, elsewhere], *shared, last="ahead")[0] == "elsewhere"


@pytest.mark.parametrize("weight", [1.0, 4.0])
def test_who_was_away_starts_little_behind_the_others(weight):
    assert fairness.start(1e6, 10.0, 1.0, weight) == 1e6
    behind = 1e6 - fairness.start(0.0, 1e6, 1.0, weight)
    assert 0 < behind <= fairness.STAY_SECONDS / weight + fairness.CREDIT
