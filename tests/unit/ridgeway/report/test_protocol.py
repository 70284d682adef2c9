"""How a search went, in a report's words."""

from __future__ import annotations

from dataclasses import replace

from reporting import refitted_material

from ridgeway.report.protocol import protocol
from ridgeway.spec.models import LinearModel, MlpModel, ModelSpec
from workers.data.bundled import bundled_frame


def test_the_model_is_told_with_its_layers() -> None:
    fields = {"dataset": "diabetes", "model": {"kind": "linear"}}
    params = {"penalty": "l1", "lambda": 0.05}
    made, _ = refitted_material(fields, bundled_frame("diabetes"), params, bundled=True)

    def told(model: ModelSpec) -> str:
        spec = made.evidence.spec.model_copy(update={"model": model})
        facts = protocol(replace(made.evidence, spec=spec))
        (found,) = [fact for fact in facts if fact.name == "Model"]
        return found.value

    assert told(LinearModel()) == "linear"
    assert told(MlpModel(hidden=[8, 4])) == "mlp, hidden layers of 8, 4"
    assert told(MlpModel(hidden=[8], skip=True)) == "mlp, hidden layers of 8, with a skip layer"
