"""Fit linear models to the optimum and read the coefficients that the answer keeps.

`"optimizer": "exact"`, which linear models have by default, solves each to its optimum, so that a
trial's value and its zeros depend on penalty and strength alone, as scikit-learn's do. Prints the
recommended strength in scikit-learn's terms too, and the coefficients in the table's units.

    .venv/bin/python examples/linear_to_the_optimum.py

The model stays behind as `diabetes.safetensors`. A service must be running (`make serve`);
RIDGEWAY_URL says where, if not on this machine.
"""

from __future__ import annotations

from pathlib import Path

from ridgeway import Client, load_model


def main() -> None:
    """Search the penalties of a linear model, print the answer's strength and coefficients."""
    with Client() as client:
        job = client.submit(
            dataset="diabetes",
            model={"kind": "linear"},
            optimizer="exact",
            precision="float64",
            search={"penalty": ["none", "l1", "l2", "elastic_net"], "lambda": "auto"},
            trials=40,
        )
        done = client.wait(job, progress=True)
        file = Path("diabetes.safetensors")
        file.write_bytes(client.model(job))
    simplest = done.recommended.simplest
    print(f"recommended: {simplest.params}")
    for library, arguments in (simplest.equivalents or {}).items():
        print(f"  for {library}: {arguments}")
    model = load_model(file)
    for name, weight in zip(model.encoded_names_, model.coef_, strict=True):
        print(f"{name:>6} {weight:8.4f}" if weight else f"{name:>6}     left out")
    for warning in done.warnings:
        print(f"note: {warning}")


if __name__ == "__main__":
    main()
