"""Bring a table as an upload is brought, and tell the most memory that it takes.

Prints seconds, and the most that the process has alone beyond what Python and its libraries take;
pages of files are the system's, to be had back. Then that of each part: reading, profile, writing.

    python benchmarks/bringing.py --rows 1000000 --columns 100
    python benchmarks/bringing.py --kind csv
"""

from __future__ import annotations

import argparse
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.csv as arrow_csv
import pyarrow.parquet as pq
from big import Most, held, make_table

from ridgeway.data.judging import judged_profile
from ridgeway.data.tables import write_parquet
from ridgeway.data.uploads import read_upload
from ridgeway.settings import Settings


def make(path: Path, options: argparse.Namespace) -> None:
    """Write the table that is brought: normal inputs, a target, and if asked for ids and times."""
    make_table(path, options.rows, options.columns)
    if options.texts:
        ids = pa.array(np.char.mod("user-%09d", np.arange(options.rows)))
        times = pa.array(np.arange(options.rows) * 10**9, pa.int64()).cast(pa.timestamp("us"))
        table = pq.read_table(path)
        pq.write_table(table.add_column(0, "id", ids).add_column(1, "time", times), path)
    if options.kind == "csv":
        rows = pq.ParquetFile(path).iter_batches(2**16)
        with arrow_csv.CSVWriter(path.with_suffix(".csv"), pq.read_schema(path)) as file:
            for batch in rows:
                file.write_batch(batch)


def measure(path: Path, options: argparse.Namespace) -> None:
    """Read, profile and write the file; print what each took."""
    settings = Settings(max_upload_bytes=2**36, max_rows=10**9)
    (path.parent / "empty.csv").write_text("a,b\n1,2\n3,x\n")
    judged_profile(read_upload(path.parent / "empty.csv", None, settings))  # loads what is lazy
    before = held()

    def told(what: str, started: float, most: Most) -> None:
        seconds, megabytes = time.perf_counter() - started, (most.bytes - before) / 1e6
        print(f"{what}: {seconds:.1f} s, at most {megabytes:.0f} MB", flush=True)

    started, most = time.perf_counter(), Most()
    table = read_upload(path, None, settings)
    told("read", started, most)
    started, most = time.perf_counter(), Most()
    judged_profile(table)
    told("profile", started, most)
    started, most = time.perf_counter(), Most()
    write_parquet(table, path.parent / "made.parquet")
    told("write", started, most)
    used = resource.getrusage(resource.RUSAGE_SELF)
    print(f"{path.stat().st_size / 1e6:.0f} MB brought, {used.ru_utime + used.ru_stime:.0f} s CPU")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--columns", type=int, default=100)
    parser.add_argument("--kind", choices=["parquet", "csv"], default="parquet")
    parser.add_argument("--texts", action="store_true", help="with ids and times, a text a row")
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.folder:
        measure(options.folder / f"table.{options.kind}", options)
        return
    with tempfile.TemporaryDirectory() as folder:
        make(Path(folder) / "table.parquet", options)
        subprocess.run([sys.executable, __file__, *sys.argv[1:], "--folder", folder], check=True)


if __name__ == "__main__":
    main()
