"""Trade the loss against the number of weights, and see every trade-off that was found.

With `"objectives": ["loss", "nonzero_weights"]` the sampler looks for models that are good, small,
or anything between. The front lists the trials that no other beats in both; the answer is chosen
from all trials as ever.

    .venv/bin/python examples/pareto_front.py

A service must be running (`make serve`); RIDGEWAY_URL says where, if not on this machine.
"""

from __future__ import annotations

from ridgeway import Client


def main() -> None:
    """Search with two objectives, print the front from the lowest loss to the fewest weights."""
    with Client() as client:
        job = client.submit(
            dataset="breast_cancer",
            model={"kind": "mlp", "hidden": [16]},
            objectives=["loss", "nonzero_weights"],
            search={"penalty": ["l1", "group_lasso"], "lambda": "auto"},
            validation={"kind": "folds", "folds": 3},
            trials=40,
            epochs=20,
        )
        done = client.wait(job, progress=True)
        front = client.front(job)
    print("trial      loss   nonzero weights   penalty       lambda")
    for trial in front.trials:
        loss, nonzero = trial.values
        penalty, strength = trial.params["penalty"], trial.params["lambda"]
        print(f"{trial.number:5} {loss:9.4f} {nonzero:17.1f}   {penalty:<11} {strength:8.2g}")
    print(f"recommended: trial {done.recommended.simplest.number}")


if __name__ == "__main__":
    main()
