"""A job's own trials are told from others by one look-up each, however many leases there are."""

from __future__ import annotations

from optuna.trial import TrialState

from ridgeway.jobs.own_trials import only_own
from ridgeway.study.reading import StudyTrial


class CountedNumber(int):
    """A number that counts how often it is hashed or compared."""

    asked = 0

    def __eq__(self, other: object) -> bool:
        CountedNumber.asked += 1
        return int(self) == other

    def __hash__(self) -> int:
        CountedNumber.asked += 1
        return int.__hash__(self)


def trial(number: int) -> StudyTrial:
    return StudyTrial(
        id=number + 1,
        number=CountedNumber(number),
        state=TrialState.COMPLETE,
        value=0.0,
        params={},
        distributions={},
        started_at=None,
        finished_at=None,
        attributes={},
    )


def test_own_trials_cost_a_look_up_each_and_not_one_for_each_lease() -> None:
    trials = [trial(number) for number in range(1000)]
    leases = [range(first, first + 2) for first in range(0, 1000, 4)]  # every other pair is foreign
    own = {number for lease in leases for number in lease}
    CountedNumber.asked = 0
    found = [int(each.number) for each in only_own(trials, own)]
    assert CountedNumber.asked <= 3 * len(trials)
    assert found == [number for number in range(1000) if number % 4 < 2]
