"""Checks of this machine: settings, versions, compiler, GPU, disk, who may read what."""

from __future__ import annotations

import difflib
import json
import os
import platform
import shutil
import stat
import subprocess
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from ridgeway.operate.database_checks import LITTLE_BYTES, NONE_BYTES, store_folder
from ridgeway.operate.findings import Finding, Place, fail, ok, sized, warn
from ridgeway.settings import SECRETS, Settings

PREFIX = "RIDGEWAY_"
PROBE_SECONDS = 90.0  # to import torch, or to compile: minutes on a machine under load
COMPILE = (
    "import json, torch; from workers.kernels import load; found = load(torch.float32); "
    "print(json.dumps(found if isinstance(found, str) else None))"
)
CUDA = (
    "import json, torch; "
    "print(json.dumps({'built': torch.version.cuda, 'names': [torch.cuda.get_device_name(i) "
    "for i in range(torch.cuda.device_count())]}))"
)
PRIVATE = ("ridgeway.db", "ridgeway.db-wal", "store")  # in the data folder
MOST_ENTRIES = 200_000  # of the data folder that are added up


def check_settings(place: Place) -> Finding:
    """Find variables of our prefix that are no settings: they do nothing."""
    known = {f"{PREFIX}{name.upper()}" for name in Settings.model_fields}
    known |= {f"{PREFIX}{name.upper()}_FILE" for name in SECRETS}
    unknown = sorted(name for name in os.environ if name.startswith(PREFIX) and name not in known)
    if not unknown:
        named = sum(1 for name in os.environ if name in known)
        return ok(f"{named} RIDGEWAY_ variables are set, each a setting")
    guesses = [difflib.get_close_matches(name, known, n=1) for name in unknown]
    told = [
        f"{name} (perhaps {guess[0]})" if guess else name
        for name, guess in zip(unknown, guesses, strict=True)
    ]
    return warn(
        f"no such setting: {', '.join(told)}", "Correct the name; docs/settings.md has all."
    )


def check_versions(place: Place) -> Finding:
    """Tell which releases are installed."""
    own = [f"{name} {_version(name)}" for name in ("ridgeway", "optuna", "sqlalchemy", "torch")]
    told = ", ".join([f"Python {platform.python_version()}", *own])
    if _version("torch") == "missing":
        return warn(told, "No worker runs here without it: pip install 'ridgeway[workers]'.")
    return ok(told)


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "missing"


def check_compiler(place: Place) -> Finding:
    """Compile the kernels, or find them compiled."""
    if _version("torch") == "missing":
        return ok("not needed here: no worker can run without torch")
    try:
        told = _probed(COMPILE)
    except (OSError, ValueError, subprocess.SubprocessError) as error:
        return fail(f"the kernels can't be tried: {_last_line(error)}", "See that torch imports.")
    if told is not None:
        remedy = (
            "Install gcc or clang: without kernels training on the CPU is several times slower."
        )
        return warn(str(told), remedy)
    return ok("the kernels are compiled")


def check_gpu(place: Place) -> Finding:
    """Find out whether torch sees the GPUs that have a driver."""
    if _version("torch") == "missing":
        return ok("not looked for: no worker can run without torch")
    drivers = [*Path("/dev").glob("nvidia[0-9]*"), *Path("/dev").glob("dxg")]
    if not drivers:
        return ok("there is no GPU with a driver: workers here train on the CPU")
    try:
        found: Any = _probed(CUDA)
    except (OSError, ValueError, subprocess.SubprocessError) as error:
        return fail(f"torch can't be asked for GPUs: {_last_line(error)}", "See nvidia-smi.")
    if found["names"]:
        return ok(f"CUDA {found['built']}: {', '.join(found['names'])}")
    if found["built"] is None:
        remedy = "Install a torch with CUDA (https://pytorch.org): this one is for the CPU alone."
        return warn("there is a GPU's driver, but torch was built without CUDA", remedy)
    remedy = "Update the driver for this CUDA; nvidia-smi tells what it supports."
    return warn(f"there is a driver, but torch (CUDA {found['built']}) sees no GPU", remedy)


def _probed(code: str) -> Any:
    """Run code in a process of its own; return the JSON of its last line."""
    done = subprocess.run(
        [sys.executable, "-P", "-c", code],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=True,
        timeout=PROBE_SECONDS,
    )
    return json.loads(done.stdout.splitlines()[-1])


def _last_line(error: Exception) -> str:
    printed = getattr(error, "stderr", None) or str(error)
    text = printed.decode(errors="replace") if isinstance(printed, bytes) else str(printed)
    return text.strip().splitlines()[-1]


def check_disk(place: Place) -> Finding:
    """See how large the data folder is, and how much is free beside it."""
    data = place.settings.data.absolute()
    nearest = next(each for each in (data, *data.parents) if each.exists())
    free = shutil.disk_usage(nearest).free
    taken = f"{data} takes {_size(data)}" if data.exists() else f"{data} is not there yet"
    told, remedy = f"{taken}; {sized(free)} are free", "Make room: `ridgeway gc --dry-run`."
    if free < NONE_BYTES:
        return fail(told, remedy)
    return warn(told, remedy) if free < LITTLE_BYTES else ok(told)


def check_cache(place: Place) -> Finding:
    """Find out whether copies of a store elsewhere can be kept here, and as many as may be."""
    if store_folder(place) is not None:
        return ok("not needed: the store is a folder")
    folder, most = place.settings.resolved_cache(), place.settings.cache_bytes
    nearest = next(each for each in (folder, *folder.parents) if each.exists())
    other = "Name another folder in RIDGEWAY_CACHE"
    if not nearest.is_dir() or not os.access(nearest, os.W_OK | os.X_OK):
        told = f"copies of data sets can't be kept in {folder}: {nearest} can't be written"
        return fail(told, f"{other}, or let this user write there.")
    free = shutil.disk_usage(nearest).free
    kept = sum(each.stat().st_size for each in folder.glob("*")) if folder.exists() else 0
    told = f"{folder} holds {sized(kept)} of {sized(most)} at most; {sized(free)} are free"
    if free < NONE_BYTES:
        return fail(told, f"Make room there. {other} otherwise.")
    if free < most - kept:
        return warn(told, f"{other}, or set RIDGEWAY_CACHE_BYTES to what there is room for.")
    return ok(told)


def _size(folder: Path) -> str:
    total = 0
    for place, path in enumerate(folder.rglob("*")):
        if place == MOST_ENTRIES:
            return f"more than {sized(total)}"
        found = path.lstat()
        total += found.st_size if stat.S_ISREG(found.st_mode) else 0
    return sized(total)


def check_privacy(place: Place) -> Finding:
    """Find what other users of this machine may read or write."""
    data = place.settings.data
    if not data.exists():
        return ok("there is no data folder yet")
    if not stat.S_IMODE(data.stat().st_mode) & 0o077:
        return ok("the data folder is its user's alone")
    found = [data / name for name in PRIVATE if (data / name).exists()]
    open_ = [path for path in found if stat.S_IMODE(path.stat().st_mode) & 0o077]
    if open_:
        told = f"others may get at {', '.join(path.name for path in open_)} in {data}"
        return warn(told, f"chmod -R go= {data}")
    return ok("others may look into the data folder, but not into what is in it")
