"""/jobs/new: the form of a new job, empty, for a data set, or as another job was."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any

from fastapi import Query, Request, Response
from pydantic import BaseModel, Field
from sqlalchemy.engine import Connection

from ridgeway.data.listing import describe_dataset, list_datasets
from ridgeway.errors import Conflict, NotFound
from ridgeway.fleet import known_models, known_penalties
from ridgeway.jobs.datasets import name_now
from ridgeway.jobs.lookups import find_job
from ridgeway.jobs.rows import read_job
from ridgeway.keys.caller import Caller
from ridgeway.spec.models import BUILT_IN
from ridgeway.spec.names import DEFAULT_PENALTIES
from ridgeway.spec.shortest import shortest
from ridgeway.spec.spec import JobSpec
from ridgeway.views import Dataset
from service.access.asking import caller_of
from service.context import InContext
from service.pages import job_form
from service.pages.environment import page
from service.pages.job_form import Form, offered_penalties
from service.pages.routing import page_router

MOST_OFFERED = 500  # data sets in the list to choose from; any other can be typed
MOST_COLUMNS = 1000  # likewise

router = page_router()


@dataclass(frozen=True)
class Offers:
    """What the form offers to choose from."""

    datasets: list[str]
    dataset: Dataset | None  # the one that is chosen, if there is one of that name
    models: list[str]
    penalties: list[str]

    @property
    def columns(self) -> list[str]:
        """Return the names of columns to choose from."""
        found = (self.dataset.columns if self.dataset else None) or []
        return [column.name for column in found[:MOST_COLUMNS]]


class Asked(BaseModel):
    """What the address of the form may begin it with."""

    dataset: str | None = None
    target: str | None = None
    drop: list[str] = []
    take: list[str] = Field([], description="KIND:COLUMN")
    missing_target: str | None = None
    source: str | None = Field(None, alias="from", pattern="^[0-9a-fA-F-]{1,36}$")

    @property
    def fields(self) -> dict[str, Any]:
        """Return fields of a job, those alone that something is asked for."""
        given = self.model_dump(include={"dataset", "target", "drop", "missing_target"})
        return {name: value for name, value in given.items() if value}

    @property
    def kinds(self) -> dict[str, str]:
        """Return kinds by column; a data set's page sends nothing of most columns."""
        pairs = (each.partition(":") for each in self.take)
        return {name: kind for kind, _, name in pairs if kind and name}


@router.get("/jobs/new")
def new_job(request: Request, context: InContext, asked: Annotated[Asked, Query()]) -> Response:
    """Show the form; `from` names a job whose spec it begins with, the others win over that."""
    caller, source = caller_of(request), asked.source
    with context.database.reading() as transaction:
        body = _body_of(transaction, caller, source) if source else {}
        body |= asked.fields
        if asked.kinds:
            body["columns"] = {**body.get("columns", {}), **asked.kinds}
        offers = _offers(transaction, caller, body.get("dataset"))
    form = Form.of(body)
    return page(
        request,
        "new-job.html.jinja",
        form=form,
        fields=job_form,
        offers=offers,
        model_choices=_model_choices(offers, form),
        default_penalties=DEFAULT_PENALTIES,
        penalties=offered_penalties(offers.penalties, form.penalties),
        source=source,
    )


def _model_choices(offers: Offers, form: Form) -> list[tuple[str, str]]:
    """Return the models to choose from with their labels; a job to clone may have another one."""
    own = str(form.values.get("model.kind", "mlp"))
    labels = {"linear": "linear", "mlp": "net (mlp)"}
    return [(kind, labels.get(kind, kind)) for kind in dict.fromkeys([*offers.models, own])]


def _body_of(transaction: Connection, caller: Caller, job_id: str) -> dict[str, Any]:
    """Return a job's body, on the same data, whatever they are called now."""
    job = find_job(transaction, job_id, caller)
    if not isinstance(job.spec, JobSpec):
        raise Conflict(job.unreadable or f"Job {job_id} can't be read.")
    body = shortest(job.spec)
    try:
        return body | {"dataset": name_now(transaction, read_job(transaction, job_id))}
    except NotFound:  # it has been deleted: whoever clones the job chooses another
        del body["dataset"]
        return body


def _offers(transaction: Connection, caller: Caller, dataset: str | None) -> Offers:
    found = list_datasets(transaction, cursor=None, limit=MOST_OFFERED, caller=caller).datasets
    plugged = sorted(known_models(transaction) - {*BUILT_IN})
    return Offers(
        datasets=[each.name for each in found],
        dataset=_described(transaction, caller, dataset) if dataset else None,
        models=[*BUILT_IN, *plugged],
        penalties=known_penalties(transaction),
    )


def _described(transaction: Connection, caller: Caller, name: str) -> Dataset | None:
    """Return a data set; None for an unknown one, which the form's check will tell."""
    try:
        return describe_dataset(transaction, name, caller)
    except NotFound:
        return None
