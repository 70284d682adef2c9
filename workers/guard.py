"""Plug-ins run guarded: what they change of the process is put back, and the job's owner told.

A worker trains many jobs in one process, whose default dtype, gradient mode, environment and the
like belong to all of them. Guards stand around each import of a plug-in, each building of its model
or loading of its data set, and each training of its members; a `Steady` stands between one model
and the next, where a step calls them in turn.

    with telling(notes):                              # a lease
        with guarded("the model plug-in 'mine'", seed):   # whatever runs the plug-in's code
            ...
    notes == ["the model plug-in 'mine' changed torch's default dtype; it was put back"]

Generators of numpy and of `random` are seeded by each guard, so that what a plug-in draws from
them depends on no job before; torch's are in the hands of whoever asks for a draw. `sys.path` and
`sys.modules` stay as plug-ins leave them: what they import later may need it.
"""

from __future__ import annotations

import logging
import os
import random
import signal
import sys
import threading
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

log = logging.getLogger("ridgeway.worker")

TINY = 5e-324  # the least number of float64; a processor that flushes denormals takes it for zero
# What torch sets for itself as it compiles is no plug-in's doing.
TORCHS_OWN_VARIABLES = ("TORCH", "TRITON", "CUBLAS", "CUDA", "KMP")

# Those that a program takes for itself; a fault's are faulthandler's, and the rest are rare.
SIGNALS = (
    *(signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGALRM),
    *(signal.SIGCHLD, signal.SIGPIPE, signal.SIGUSR1, signal.SIGUSR2),
)

_notes: ContextVar[list[str] | None] = ContextVar("notes", default=None)
_culprit: ContextVar[str] = ContextVar("culprit", default="a plug-in")


@dataclass(frozen=True)
class Setting:
    """One thing of a process that all jobs share: what it is called, how to read and set it."""

    name: str
    read: Callable[[], Any]
    write: Callable[[Any], object]


# --- what jobs share ----------------------------------------------------------------------------

_left_for_good: list[object] = []  # whose end would bring the mode before it back


def _set_inference_mode(on: bool) -> None:
    mode = torch.inference_mode(on)
    mode.__enter__()
    _left_for_good.append(mode)


def _deterministic() -> tuple[bool, bool]:
    warns = torch.is_deterministic_algorithms_warn_only_enabled()
    return torch.are_deterministic_algorithms_enabled(), warns


def _float32_products() -> list[str]:
    """Return by their new names: the legacy ones can't be read where these were set."""
    return [switch.fp32_precision for switch in _float32_switches()]


def _set_float32_products(values: Iterable[str]) -> None:
    torch.set_float32_matmul_precision("highest")  # which the new names don't reach
    for switch, value in zip(_float32_switches(), values, strict=True):
        switch.fp32_precision = value


def _float32_switches() -> list[Any]:
    backends: Any = torch.backends  # whose stub knows few of them; from the whole to its parts
    cudnn, mkldnn = backends.cudnn, backends.mkldnn
    parts = [cudnn.conv, cudnn.rnn, mkldnn.matmul, mkldnn.conv, mkldnn.rnn]
    return [backends, backends.cuda.matmul, *parts]


def _set_switches(owner: Any, names: Iterable[str]) -> Callable[[Iterable[Any]], None]:
    def write(values: Iterable[Any]) -> None:
        for name, value in zip(names, values, strict=True):
            setattr(owner, name, value)

    return write


def _autocast() -> list[tuple[bool, torch.dtype]]:
    return [(torch.is_autocast_enabled(d), torch.get_autocast_dtype(d)) for d in ("cpu", "cuda")]


def _set_autocast(values: Iterable[tuple[bool, torch.dtype]]) -> None:
    for device, (on, dtype) in zip(("cpu", "cuda"), values, strict=True):
        torch.set_autocast_enabled(device, on)
        torch.set_autocast_dtype(device, dtype)


def _attention() -> tuple[bool, ...]:
    cuda = torch.backends.cuda
    asked = (cuda.flash_sdp_enabled, cuda.mem_efficient_sdp_enabled, cuda.math_sdp_enabled)
    return tuple(ask() for ask in asked)


def _set_attention(values: tuple[bool, ...]) -> None:
    cuda = torch.backends.cuda
    kinds = (cuda.enable_flash_sdp, cuda.enable_mem_efficient_sdp, cuda.enable_math_sdp)
    for enable, value in zip(kinds, values, strict=True):
        enable(value)


def _folder() -> str | None:
    try:
        return os.getcwd()  # noqa: PTH109 - a path would be no cheaper, and may be gone
    except OSError:
        return None


def _go_to(folder: str | None) -> None:
    if folder is not None:
        with suppress(OSError):
            os.chdir(folder)


def _environment() -> dict[str, str]:
    return {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(TORCHS_OWN_VARIABLES)
    }


def _set_environment(before: Mapping[str, str]) -> None:
    for name in _environment().keys() - before.keys():
        del os.environ[name]
    os.environ.update(before)


def _signal_handlers() -> dict[int, Any]:
    return {number: signal.getsignal(number) for number in SIGNALS}


def _set_signal_handlers(before: Mapping[int, Any]) -> None:
    if threading.current_thread() is not threading.main_thread():
        return  # where nobody can have changed them either
    for number, handler in before.items():
        if handler is not None and signal.getsignal(number) != handler:
            signal.signal(number, handler)


# What a model called in a step could change of the next one's numbers: read in a microsecond.
NUMBERS = (
    # Before the mode of gradients, which it sets.
    Setting("torch's inference mode", torch.is_inference_mode_enabled, _set_inference_mode),
    Setting("torch's gradient mode", torch.is_grad_enabled, torch.set_grad_enabled),
    Setting("torch's default dtype", torch.get_default_dtype, torch.set_default_dtype),
    Setting("the number of torch's threads", torch.get_num_threads, torch.set_num_threads),
    Setting(
        "torch's deterministic algorithms",
        _deterministic,
        lambda flags: torch.use_deterministic_algorithms(flags[0], warn_only=flags[1]),
    ),
    Setting("the flushing of denormal numbers", lambda: not TINY * 1.0, torch.set_flush_denormal),
)
CUDNN = ("enabled", "benchmark", "deterministic")
SETTINGS = (
    *NUMBERS,
    Setting(
        "torch's default device",
        torch.get_default_device,
        lambda device: torch.set_default_device(None if device.type == "cpu" else device),
    ),
    Setting(
        "torch's anomaly detection",
        lambda: (torch.is_anomaly_enabled(), torch.is_anomaly_check_nan_enabled()),
        lambda flags: torch.autograd.set_detect_anomaly(*flags),
    ),
    Setting("torch's precision of float32 products", _float32_products, _set_float32_products),
    Setting("torch's autocast", _autocast, _set_autocast),
    Setting("torch's kernels of attention", _attention, _set_attention),
    Setting(
        "cuDNN's switches",
        lambda: [getattr(torch.backends.cudnn, name) for name in CUDNN],
        _set_switches(torch.backends.cudnn, CUDNN),
    ),
    Setting(
        "torch's use of oneDNN",
        lambda: [torch.backends.mkldnn.enabled],
        _set_switches(torch.backends.mkldnn, ["enabled"]),
    ),
    Setting("numpy's handling of errors", np.geterr, lambda kept: np.seterr(**kept)),
    Setting("the working directory", _folder, _go_to),
    Setting("the environment", _environment, _set_environment),
    Setting("the handlers of signals", _signal_handlers, _set_signal_handlers),
    Setting(
        "the alarm clock",
        lambda: signal.getitimer(signal.ITIMER_REAL)[0] > 0,
        lambda running: running or signal.setitimer(signal.ITIMER_REAL, 0),
    ),
    Setting("the limit of recursion", sys.getrecursionlimit, sys.setrecursionlimit),
)

# --- putting it back ------------------------------------------------------------------------------


class Usual:
    """Settings as they are now, to be put back later."""

    def __init__(self, settings: Sequence[Setting] = SETTINGS) -> None:
        self._settings = settings
        self._reads = [setting.read for setting in settings]
        self._values = [read() for read in self._reads]

    def put_back(self) -> list[str]:
        """Set what has changed as it was; return the names of that."""
        if [read() for read in self._reads] == self._values:
            return []
        changed: list[str] = []
        for setting, value in zip(self._settings, self._values, strict=True):
            if setting.read() != value:
                setting.write(value)
                changed.append(setting.name)
        return changed


class Steady:
    """Puts numbers back between models that a step calls in turn, and at its end.

    with Steady() as steady:
        for model in models:
            ...
            steady.put_back()
    """

    def __enter__(self) -> Steady:
        self._usual = Usual(NUMBERS)
        return self

    def __exit__(self, *error: object) -> None:
        self.put_back()

    def put_back(self) -> None:
        """Set what the model has changed as it was when the step began."""
        if changed := self._usual.put_back():
            _tell(_culprit.get(), changed)


@contextmanager
def guarded(culprit: str, seed: int) -> Iterator[None]:
    """Run a plug-in's code; put back and tell what it changes. May be nested.

    seed: of numpy's and Python's global generators inside; outside they are as they were.
    """
    outside, usual = _culprit.set(culprit), Usual()
    drawn, drawn_by_numpy = random.getstate(), np.random.get_state()
    random.seed(seed)
    np.random.seed(seed % 2**32)
    try:
        with warnings.catch_warnings():  # importing a library that adds filters is no offence
            yield
    finally:
        random.setstate(drawn)
        np.random.set_state(drawn_by_numpy)
        _tell(culprit, usual.put_back())
        _culprit.reset(outside)


@contextmanager
def telling(notes: list[str]) -> Iterator[None]:
    """Collect what guards inside put back, as sentences for the job's owner, each once."""
    before = _notes.set(notes)
    try:
        yield
    finally:
        _notes.reset(before)


def _tell(culprit: str, changed: Sequence[str]) -> None:
    notes = _notes.get()
    for name in changed:
        note = f"{culprit} changed {name}; it was put back"
        if notes is None or note not in notes:
            log.warning("%s", note)
        if notes is not None and note not in notes:
            notes.append(note)
