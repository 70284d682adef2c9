"""The evidence of an answer: arms of the search, the confirmation, and what was compared."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ridgeway.answers import (
    Comparison,
    Confirmation,
    ConfirmedFinalist,
    PenaltyRow,
    RivalName,
)
from ridgeway.spec.directions import as_loss
from ridgeway.spec.names import UNPENALISED
from ridgeway.spec.spec import JobSpec
from ridgeway.study.reading import StudyTrial
from workers.answer.choice import Role, best_of, paired_differences, paired_error
from workers.answer.comparing import LEAST_ROWS, Paired, corrected_interval
from workers.answer.confirmation import Confirmed, twin
from workers.answer.rival import Rival
from workers.answer.sealed import BASELINE, SealedTest
from workers.population.configuration import Configuration

LEAST_UNITS = 10  # of groups, where rows have some


@dataclass(frozen=True)
class Evidence:
    """The search's trials, and what their finalists, by name, reached on fresh splits."""

    spec: JobSpec
    candidates: Sequence[StudyTrial]
    chosen: Mapping[Role, StudyTrial]
    finalists: Mapping[str, StudyTrial]
    confirmed: Confirmed | None
    rival: Rival | None

    # --- arms -----------------------------------------------------------------------------------

    def penalties(self) -> list[PenaltyRow]:
        """Return what the search made of each penalty, from the best on."""
        rows = [self._row(name) for name in self.spec.search.penalty]
        return sorted(rows, key=lambda row: (row.behind is None, row.behind or 0.0))

    def _row(self, name: str) -> PenaltyRow:
        own = [trial for trial in self.candidates if trial.params["penalty"] == name]
        if not own:
            return PenaltyRow(
                penalty=name,
                trials=0,
                number=None,
                value=None,
                standard_error=None,
                behind=None,
                behind_error=None,
            )
        arm, best = best_of(own, self.spec), self.chosen["best"]
        worse = paired_differences(arm, best, self.spec)
        assert arm.value is not None
        assert best.value is not None
        behind = as_loss(arm.value - best.value, self.spec.maximise)
        return PenaltyRow(
            penalty=name,
            trials=len(own),
            number=arm.number,
            value=arm.value,
            standard_error=arm.facts.standard_error,
            behind=behind,
            behind_error=None if worse is None else paired_error(worse, self.spec),
            confirmed=self.confirmed_value(arm),
        )

    # --- the confirmation -----------------------------------------------------------------------

    def member(self, trial: StudyTrial) -> Configuration:
        """Return a trial's hyperparameters as its training uses them."""
        return Configuration.from_params(self.spec, trial.params)

    def confirmed_value(self, trial: StudyTrial) -> float | None:
        """Return a finalist's mean on fresh splits; None of others, and where it diverged."""
        return self._mean(self.member(trial))

    def confirmation(self, initialisations: list[float]) -> Confirmation | None:
        """Return the finalists' values on fresh splits, as the answer shows them."""
        if self.confirmed is None:
            return None
        shown = [self._finalist(name, trial) for name, trial in self.finalists.items()]
        if self.rival is not None and self.rival.confirmed is not None:
            values = self.rival.confirmed.values(self.rival.member)
            if values is not None:
                shown.append(ConfirmedFinalist(name="linear", number=None, value=values.mean()))
        return Confirmation(
            splits=self.confirmed.splits,
            finalists=shown,
            optimism=self._optimism(),
            initialisations=initialisations,
        )

    def _finalist(self, name: str, trial: StudyTrial) -> ConfirmedFinalist:
        assert self.confirmed is not None
        member = self.member(trial)
        values, without = self.confirmed.values(member), twin(member)
        return ConfirmedFinalist(
            name=name,
            number=trial.number,
            value=self._mean(member),
            interval=None
            if values is None
            else corrected_interval(values, self.confirmed.valid_share),
            twin=None if without is None else self._mean(without),
        )

    def _mean(self, member: Configuration) -> float | None:
        values = None if self.confirmed is None else self.confirmed.values(member)
        return None if values is None else float(values.mean())

    def _optimism(self) -> float | None:
        best = self.chosen["best"]
        confirmed = self._mean(self.member(best))
        if confirmed is None or not best.value:
            return None
        return as_loss(confirmed - best.value, self.spec.maximise) / abs(best.value)

    # --- comparisons ----------------------------------------------------------------------------

    def beyond_constant(self) -> bool | None:
        """Return whether the best is better than the constant on fresh splits; None if unknown."""
        if self.confirmed is None:
            return None
        found = self.confirmed.against(self.member(self.chosen["best"]), None)
        return None if found is None else found.found

    def comparisons(self, role: Role, sealed: SealedTest) -> list[Comparison]:
        """Compare the role's trial with the constant, no penalty, its twin, the best and a line."""
        if self.confirmed is None:
            return []
        trial = self.chosen[role]
        member, confirmed = self.member(trial), self.confirmed
        pairs: dict[RivalName, Paired | None] = {"baseline": confirmed.against(member, None)}
        if trial.params["penalty"] != UNPENALISED:
            if "none" in self.chosen:
                pairs["none"] = confirmed.against(member, self.member(self.chosen["none"]))
            pairs["twin"] = confirmed.against(member, twin(member))
        if trial is not self.chosen["best"]:
            pairs["best"] = confirmed.against(member, self.member(self.chosen["best"]))
        if self.rival is not None and self.rival.confirmed is not None:
            its = self.rival.confirmed.values(self.rival.member)
            pairs["linear"] = None if its is None else confirmed.against_values(member, its)
        found = [_compared(name, folds, role, sealed) for name, folds in pairs.items()]
        return [each for each in found if each is not None]


def finalists_of(
    candidates: Sequence[StudyTrial], chosen: Mapping[Role, StudyTrial], spec: JobSpec
) -> dict[str, StudyTrial]:
    """Return the trials to confirm: those of the roles, and the best of each other penalty."""
    finalists: dict[str, StudyTrial] = {str(role): trial for role, trial in chosen.items()}
    for name in spec.search.penalty:
        own = [trial for trial in candidates if trial.params["penalty"] == name]
        if own and best_of(own, spec) not in finalists.values():
            finalists[name] = best_of(own, spec)
    return finalists


def _compared(
    rival: RivalName,
    folds: Paired | None,
    role: str,
    sealed: SealedTest,
) -> Comparison | None:
    """Join what folds and sealed rows say; a claim needs both, and enough sealed rows."""
    if folds is None:
        return None
    rows = sealed.difference(role, BASELINE if rival == "baseline" else rival)
    enough = sealed.effective_rows >= LEAST_ROWS and sealed.units >= LEAST_UNITS
    return Comparison(
        rival=rival,
        difference=folds.difference,
        interval=folds.interval,
        p=folds.p,
        folds=folds.folds,
        detectable=folds.detectable,
        sealed_difference=None if rows is None else rows[0],
        sealed_interval=None if rows is None else rows[1],
        claimed=bool(folds.found and enough and rows is not None and rows[1][0] > 0),
    )
