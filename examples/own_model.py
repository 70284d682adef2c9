"""Search for the penalty of a model of your own.

The model is Python code, so it comes in as a package beside the workers: `examples/plug_in` is a
complete one, with a model `gated` and a data set `two_moons`. Install it where the workers run,
start the service again, and both can be named in jobs:

    .venv/bin/python -m pip install --no-deps ./examples/plug_in
    make serve
    .venv/bin/python examples/own_model.py

RIDGEWAY_URL says where the service is, if not on this machine.
"""

from __future__ import annotations

from ridgeway import Client


def main() -> None:
    """Search the plug-in's model on the plug-in's data set, print the answer."""
    with Client() as client:
        job = client.submit(
            dataset="two_moons",
            model={"kind": "gated", "width": 16},
            search={
                "penalty": ["none", "l1", "l2", "group_lasso"],
                "lambda": {"low": 1e-5, "high": 1e-1, "log": True},
            },
            validation={"kind": "folds", "folds": 3},
            trials=30,
            epochs=20,
        )
        answer = client.wait(job, progress=True).recommended
    simplest, test = answer.simplest, answer.test
    print(f"recommended: {simplest.params}")
    print(f"weights kept: {simplest.refit_nonzero_weights} of {simplest.weights}")
    print(f"{test.metric} on {test.rows} sealed rows: {test.simplest:.3f}")


if __name__ == "__main__":
    main()
