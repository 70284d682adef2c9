"""Compiles the C sources once for each machine and keeps them: two seconds, later none."""

from __future__ import annotations

import ctypes
import hashlib
import os
import platform
import shlex
import shutil
import stat
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any, TypeAlias

import torch
from torch import Tensor

FOLDER = Path(__file__).parent
SOURCES = tuple(FOLDER / name for name in ("optimizers.c", "nets.c", "linear.c"))
OPTIONS = ("-O3", "-fno-math-errno", "-fno-trapping-math", "-fPIC", "-shared")
NATIVE = "-march=native"
COMPILERS = ("cc", "gcc", "clang")
COMPILER_SECONDS = 60  # one that takes longer hangs
DEFINES: dict[torch.dtype, tuple[str, ...]] = {torch.float32: ("-DSINGLE",), torch.float64: ()}


Argument: TypeAlias = Tensor | ctypes.Structure | ctypes.c_int64


class Library:
    """The kernels for one type of number. Tensors are contiguous and on the CPU.

    fast: whether products run on wide vectors, and so nearly as fast as those of a BLAS library.
    """

    def __init__(self, path: Path, dtype: torch.dtype) -> None:
        self.dtype = dtype
        self._functions = ctypes.CDLL(str(path))
        found = ctypes.c_int64()
        self.call("net_is_fast", found)
        self.fast = bool(found.value)

    def call(self, name: str, *arguments: Argument) -> None:
        """Call a function of the sources; a tensor goes as the address of its first number."""
        getattr(self._functions, name)(*map(_as_c, arguments))


def _as_c(argument: Argument) -> Any:
    if isinstance(argument, Tensor):
        return ctypes.c_void_p(argument.data_ptr())
    return ctypes.byref(argument)


@cache
def load(dtype: torch.dtype) -> Library | str:
    """Return the kernels, compiled now if they are not on disk; or why there are none."""
    try:
        compiler = find_compiler()
        if compiler is None:
            return "there is no C compiler (cc, gcc or clang, or what CC names)"
        path = compiled(compiler, DEFINES[dtype])
        try:
            return Library(path, dtype)
        except OSError:  # a damaged file: once more
            path.unlink(missing_ok=True)
            return Library(compiled(compiler, DEFINES[dtype]), dtype)
    except (OSError, ValueError, subprocess.SubprocessError) as error:  # ValueError: CC's quotes
        return f"the C compiler failed: {_told(error)}"


def find_compiler() -> list[str] | None:
    named = shlex.split(os.environ.get("CC", ""))
    if named:
        return named if shutil.which(named[0]) else None
    found = (shutil.which(name) for name in COMPILERS)
    return next(([path] for path in found if path), None)


def compiled(compiler: Sequence[str], defines: Sequence[str]) -> Path:
    """Return the library's path. Processes that compile it at once end with one whole file."""
    folder = private_folder()
    target = folder / f"kernels-{_fingerprint(compiler, defines)}.so"
    if not target.exists():
        with tempfile.TemporaryDirectory(dir=folder) as scratch:
            fresh = Path(scratch) / target.name
            try:
                _compile(compiler, (*OPTIONS, NATIVE, *defines), fresh)
            except subprocess.CalledProcessError:  # not every compiler knows this machine's name
                _compile(compiler, (*OPTIONS, *defines), fresh)
            fresh.replace(target)
    return target


def _compile(compiler: Sequence[str], options: Sequence[str], target: Path) -> None:
    command = [*compiler, *options, "-o", str(target), *map(str, SOURCES), "-lm"]
    subprocess.run(command, check=True, capture_output=True, timeout=COMPILER_SECONDS)


def _fingerprint(compiler: Sequence[str], defines: Sequence[str]) -> str:
    """Digest all that the library depends on: unlike machines may share a home folder."""
    version = subprocess.run(
        [*compiler, "--version"], check=True, capture_output=True, timeout=COMPILER_SECONDS
    )
    sources = [path.read_bytes() for path in sorted(FOLDER.glob("*.[ch]"))]
    known = (sources, version.stdout, repr((OPTIONS, defines)), _processor())
    return hashlib.sha256(repr(known).encode()).hexdigest()[:24]


def _processor() -> str:
    """Return the processor's instructions, as Linux tells them."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    told = [line for line in lines if line.startswith(("model name", "flags", "Features"))]
    return "\n".join([platform.machine(), sys.platform, *dict.fromkeys(told)])


def private_folder() -> Path:
    """Return a folder where nobody else can write: what is loaded from there runs as ourselves.

    The user's cache folder; where that can't be had, one that goes with this process.
    """
    try:
        base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
        folder = Path(base) / "ridgeway"
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        found = folder.stat()
        private = found.st_uid == os.getuid() and not found.st_mode & (stat.S_IWGRP | stat.S_IWOTH)
        if private and os.access(folder, os.W_OK):
            return folder
    except (OSError, RuntimeError):  # RuntimeError: there is no home
        pass
    return Path(_passing_folder().name)


@cache
def _passing_folder() -> tempfile.TemporaryDirectory[str]:
    return tempfile.TemporaryDirectory(prefix="ridgeway-kernels-")


def _told(error: Exception) -> str:
    """Return the last line that a failed command printed, or the error itself."""
    printed = getattr(error, "stderr", None) or b""
    lines = printed.decode(errors="replace").strip().splitlines()
    return lines[-1] if lines else str(error)
