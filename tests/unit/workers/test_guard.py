"""The guard around plug-ins: each setting is put back, told once, and generators are seeded."""

from __future__ import annotations

import os
import random
import signal
import sys
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from populations import UNEVEN, assert_same_member, install_models, job, mixed, train, using

from workers.guard import NUMBERS, SETTINGS, Steady, Usual, guarded, telling

CHANGES: dict[str, Callable[[], object]] = {
    "torch's inference mode": lambda: KEPT.append(torch.inference_mode()) or KEPT[-1].__enter__(),
    "torch's gradient mode": lambda: torch.set_grad_enabled(False),
    "torch's default dtype": lambda: torch.set_default_dtype(torch.float64),
    "the number of torch's threads": lambda: torch.set_num_threads(torch.get_num_threads() + 1),
    "torch's deterministic algorithms": lambda: torch.use_deterministic_algorithms(True),
    "the flushing of denormal numbers": lambda: torch.set_flush_denormal(True),
    "torch's default device": lambda: torch.set_default_device("meta"),
    "torch's anomaly detection": lambda: torch.autograd.set_detect_anomaly(True),
    "torch's precision of float32 products": lambda: torch.set_float32_matmul_precision("medium"),
    "torch's autocast": lambda: torch.set_autocast_enabled("cpu", True),
    "torch's kernels of attention": lambda: torch.backends.cuda.enable_flash_sdp(False),
    "cuDNN's switches": lambda: setattr(torch.backends.cudnn, "benchmark", True),
    "torch's use of oneDNN": lambda: setattr(torch.backends.mkldnn, "enabled", False),
    "numpy's handling of errors": lambda: np.seterr(divide="raise"),
    "the working directory": lambda: os.chdir("/"),
    "the environment": lambda: os.environ.update(A_PLUG_INS="1"),
    "the handlers of signals": lambda: signal.signal(signal.SIGUSR1, signal.SIG_IGN),
    "the alarm clock": lambda: signal.setitimer(signal.ITIMER_REAL, 600),
    "the limit of recursion": lambda: sys.setrecursionlimit(5000),
}
KEPT: list[torch.inference_mode] = []
CHANGED = {setting.name: setting for setting in SETTINGS}


def test_every_setting_is_tried() -> None:
    assert CHANGES.keys() == CHANGED.keys()


@pytest.mark.timeout(method="thread")  # the other one sets the alarm clock
@pytest.mark.parametrize("name", CHANGES)
def test_a_setting_is_as_it_was_and_told_once(name: str) -> None:
    before, notes = [setting.read() for setting in SETTINGS], list[str]()
    with telling(notes):
        for _ in range(2):
            with guarded("the model plug-in 'mine'", 0):
                CHANGES[name]()
                assert CHANGED[name].read() != before[SETTINGS.index(CHANGED[name])]
    KEPT.clear()  # what leaves at its own end finds nothing to bring back
    assert [setting.read() for setting in SETTINGS] == before
    assert notes == [f"the model plug-in 'mine' changed {name}; it was put back"]


def test_a_variable_that_was_deleted_or_set_anew_is_as_it_was(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("KEPT", "as it was")
    monkeypatch.setenv("DELETED", "as it was")
    with guarded("a plug-in", 0):
        os.environ["KEPT"] = "changed"
        del os.environ["DELETED"]
    assert (os.environ["KEPT"], os.environ["DELETED"]) == ("as it was", "as it was")


def test_an_error_inside_passes_and_all_is_put_back() -> None:
    def failing() -> None:
        with guarded("a plug-in", 0):
            torch.set_default_dtype(torch.float64)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        failing()
    assert torch.get_default_dtype() == torch.float32


def test_generators_draw_the_same_inside_and_go_on_outside() -> None:
    random.seed(7)
    np.random.seed(7)
    expected = (random.random(), np.random.random())
    random.seed(7)
    np.random.seed(7)
    drawn = []
    for _ in range(2):
        with guarded("a plug-in", 3):
            drawn.append((random.random(), np.random.random()))
    assert drawn[0] == drawn[1] != expected
    assert (random.random(), np.random.random()) == expected


def test_filters_of_warnings_are_put_back_in_silence() -> None:
    before, notes = list(warnings.filters), list[str]()
    with telling(notes), guarded("a plug-in", 0):
        warnings.simplefilter("ignore")
    assert (list(warnings.filters), notes) == (before, [])


def test_only_numbers_are_looked_at_between_models() -> None:
    usual, notes = Usual(), list[str]()
    with telling(notes), Steady() as steady:
        torch.set_default_dtype(torch.float64)
        steady.put_back()
        assert torch.get_default_dtype() == torch.float32
        torch.set_grad_enabled(False)
        torch.backends.cudnn.benchmark = True
    assert torch.is_grad_enabled()
    assert usual.put_back() == ["cuDNN's switches"]
    assert {setting.name for setting in NUMBERS} < CHANGED.keys()
    assert len(notes) == 2


# A model that changes the dtype of what is made after its first call, if nobody puts it back.
FLIPPING = """
import torch
from torch import nn

class Flipping(nn.Module):
    def __init__(self, inputs, outputs):
        super().__init__()
        self.layer = nn.Linear(inputs, outputs)

    def forward(self, x):
        third = torch.ones(x.shape[1]) / 3
        torch.set_default_dtype(torch.float64)
        return self.layer(x * third).to(x.dtype)
"""


@pytest.mark.parametrize("backend", ["loop", "vmap"])
def test_a_member_is_the_same_after_one_whose_call_changed_a_default(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, backend: str
) -> None:
    install_models(tmp_path, monkeypatch, FLIPPING, ["Flipping"])
    spec, members = job(model={"kind": "Flipping"}, epochs=3), mixed(4)
    together = train(spec, members, UNEVEN, engine=using(backend))
    for place, member in enumerate(members):
        assert_same_member(together, place, train(spec, [member], UNEVEN, engine=using(backend)), 0)
    assert torch.get_default_dtype() == torch.float32
