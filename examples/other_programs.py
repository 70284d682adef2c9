"""Give a job's model to ONNX Runtime and to scikit-learn, which predict what Ridgeway does.

Uploads a small table with a category and gaps, searches for the penalty of a linear model, fetches
the answer's model in three formats, and predicts new rows with each: numbers and texts as they are
in a table, of which one number and one text are missing.

    .venv/bin/python examples/other_programs.py

A service must be running (`make serve`); RIDGEWAY_URL says where, if not on this machine.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnxruntime
import pandas as pd
import skops.io

from ridgeway import Client, load_model

NEW = pd.DataFrame({"area": [80.0, np.nan, 120.0], "kind": ["flat", "house", None]})


def write_houses(path: Path) -> None:
    """Write 200 rows whose price depends on area and kind."""
    draw = np.random.default_rng(0)
    area, kind = draw.normal(100, 30, 200).round(1), draw.choice(["flat", "house"], 200)
    price = 1000 * area - 20_000 * (kind == "flat") + draw.normal(0, 9000, 200)
    table = pd.DataFrame({"area": area, "kind": kind, "price": price.round(-2)})
    table.loc[::9, "area"] = np.nan
    table.loc[::25, "kind"] = None
    table.to_csv(path, index=False)


def by_onnx(file: Path, table: pd.DataFrame) -> np.ndarray:
    """Predict with ONNX Runtime: doubles, NaN where missing; strings, empty where missing."""
    session = onnxruntime.InferenceSession(file)
    columns = {
        each.name: table[[each.name]].to_numpy(float)
        if each.type == "tensor(double)"
        else table[[each.name]].fillna("").to_numpy(object)
        for each in session.get_inputs()
    }
    (prediction,) = session.run(None, columns)
    return prediction


def main() -> None:
    """Search, fetch the model as other programs take it, and predict the new rows with each."""
    write_houses(Path("houses.csv"))
    with Client() as client:
        dataset = client.add_dataset("houses.csv", name="houses")
        job = client.submit(dataset=dataset.name, model={"kind": "linear"}, trials=20)
        client.wait(job, progress=True)
        file = client.download_model(job, "model.safetensors")
        onnx = client.download_model(job, "model.onnx", format="onnx")
        skops_file = client.download_model(job, "model.skops", format="sklearn")
        client.download_model(job, "model.md", format="card")
    print("load_model  ", load_model(file).predict(NEW).round(2).tolist())
    print("ONNX Runtime", by_onnx(onnx, NEW).round(2).tolist())
    print("scikit-learn", skops.io.load(skops_file).predict(NEW).round(2).tolist())


if __name__ == "__main__":
    main()
