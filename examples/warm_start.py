"""Let a job learn from an earlier one instead of starting from nothing.

A first job searches few penalties for a short time. The second one asks for more trials and starts
warm: the first job's complete trials are copied into its study, where they teach the sampler. They
count neither in its budget nor in its answer.

    .venv/bin/python examples/warm_start.py

A service must be running (`make serve`); RIDGEWAY_URL says where, if not on this machine.
"""

from __future__ import annotations

from ridgeway import Client

SPEC = {
    "dataset": "wine",
    "model": {"kind": "linear"},
    # One range for both jobs: the copied trials and the new ones must mean the same.
    "search": {"penalty": ["l1", "l2"], "lambda": {"low": 1e-5, "high": 1e-1, "log": True}},
    "epochs": 10,
}


def main() -> None:
    """Run a job, then one that starts warm from it, and tell the trials apart."""
    with Client() as client:
        first = client.wait(client.submit(SPEC, name="first look", trials=20))
        print(f"first look: {first.progress.complete} trials, best loss {first.best.value:.4f}")
        second = client.submit(SPEC, name="warm", trials=20, warm_start={"job": first.id})
        done = client.wait(second, progress=True)
        trials = list(client.trials(second))
    copied = [trial for trial in trials if trial.warm_start is not None]
    own = [trial for trial in trials if trial.warm_start is None]
    print(f"warm: {len(copied)} trials to learn from, {len(own)} of its own")
    print(f"best loss {done.best.value:.4f}, by {done.best.params}")


if __name__ == "__main__":
    main()
