"""Kinds of layers in plug-in models: which backend takes them, and that it trains as torch does."""

from __future__ import annotations

from itertools import repeat
from pathlib import Path

import numpy as np
import pytest
import torch
from plain_loop import plain_loop
from populations import (
    BACKENDS,
    assert_same_member,
    configuration,
    install_models,
    job,
    made_up_fold,
    mixed,
    own_notes,
    train,
    trainer_of,
)

MODELS = '''
import torch
from torch import nn
from torch.nn import functional
from torch.utils.checkpoint import checkpoint

def ReLU(i, o):
    return nn.Sequential(nn.Linear(i, 6), nn.ReLU(), nn.Dropout(0.4), nn.Linear(6, o))

def GELU(i, o):
    return nn.Sequential(nn.Linear(i, 6), nn.GELU(), nn.Linear(6, 5), nn.SiLU(), nn.Linear(5, o))

def ApproximateGELU(i, o):
    return nn.Sequential(nn.Linear(i, 6), nn.GELU(approximate="tanh"), nn.Linear(6, o))

def after(layer, inputs, outputs):
    return nn.Sequential(nn.Linear(inputs, 6), layer, nn.Tanh(), nn.Linear(6, outputs))

def BatchNorm(i, o): return after(nn.BatchNorm1d(6), i, o)
def LayerNorm(i, o): return after(nn.LayerNorm(6), i, o)
def GroupNorm(i, o): return after(nn.GroupNorm(2, 6), i, o)
def RMSNorm(i, o): return after(nn.RMSNorm(6), i, o)
def Dropout(i, o): return after(nn.Dropout(0.4), i, o)
def DropoutAndNorm(i, o): return after(nn.Sequential(nn.LayerNorm(6), nn.Dropout(0.4)), i, o)
def AlphaDropout(i, o): return after(nn.AlphaDropout(0.4), i, o)
def SpectralNorm(i, o): return after(nn.utils.parametrizations.spectral_norm(nn.Linear(6, 6)), i, o)
def WeightNorm(i, o): return after(nn.utils.parametrizations.weight_norm(nn.Linear(6, 6)), i, o)

def Conv(i, o):
    convolutions = nn.Conv1d(2, 6, 2), nn.Tanh(), nn.Conv1d(6, 3, 2)
    pooled = nn.AdaptiveAvgPool1d(1), nn.Flatten()
    return nn.Sequential(nn.Unflatten(1, (2, i // 2)), *convolutions, *pooled, nn.Linear(3, o))

class Conv2d(nn.Module):
    """The inputs as an image of 2 x i / 2, and then as rows again."""
    def __init__(self, inputs, outputs):
        super().__init__()
        self.first, self.second = nn.Conv2d(1, 6, (1, 2)), nn.Conv2d(6, 3, 2)
        self.out = nn.Linear(3 * (inputs // 2 - 2), outputs)
    def forward(self, x):
        image = x.unflatten(1, (1, 2, -1))
        return self.out(self.rows(self.second(self.first(image).tanh())))
    def rows(self, image):
        return image.flatten(1)

class ViewedConv2d(Conv2d):
    """What channels last forbid, and much code out there does."""
    def rows(self, image):
        return image.view(image.size(0), -1)

class Sequence(nn.Module):
    """The inputs as i / 2 tokens of width 2, read by some layer, averaged."""
    def __init__(self, inputs, outputs, width=4):
        super().__init__()
        self.into = nn.Linear(2, width)
        self.layer = self.make(width)
        self.out = nn.Linear(width, outputs)
    def forward(self, x):
        return self.out(self.read(self.into(x.unflatten(1, (-1, 2)))).mean(1))
    def read(self, tokens):
        return self.layer(tokens)

class MultiheadAttention(Sequence):
    def make(self, width):
        return nn.MultiheadAttention(width, 2, batch_first=True)
    def read(self, tokens):
        return self.layer(tokens, tokens, tokens, need_weights=False)[0]

class AttentionWithDropout(MultiheadAttention):
    def make(self, width):
        return nn.MultiheadAttention(width, 2, dropout=0.3, batch_first=True)

class ScaledDotProduct(Sequence):
    def make(self, width):
        return nn.Linear(width, 3 * width)
    def read(self, tokens):
        query, key, value = self.layer(tokens).chunk(3, -1)
        return functional.scaled_dot_product_attention(query, key, value, is_causal=True)

class Transformer(Sequence):
    def make(self, width):
        return nn.TransformerEncoderLayer(width, 2, 8, dropout=0.2, batch_first=True)

class Recurrent(Sequence):
    def read(self, tokens):
        return self.layer(tokens)[0]

class GRU(Recurrent):
    def make(self, width):
        return nn.GRU(width, width, batch_first=True)

class LSTM(Recurrent):
    def make(self, width):
        return nn.LSTM(width, width, num_layers=2, dropout=0.3, batch_first=True)

class RNN(Recurrent):
    def make(self, width):
        return nn.RNN(width, width, bidirectional=False, batch_first=True)

class Embedding(nn.Module):
    """The sign of each input is a word of its own."""
    def __init__(self, inputs, outputs):
        super().__init__()
        self.words = nn.Embedding(2 * inputs, 4)
        self.out = nn.Linear(4, outputs)
    def forward(self, x):
        places = torch.arange(x.shape[1], device=x.device)
        return self.out(self.words(2 * places + (x > 0).long()).mean(1).tanh())

class Tied(nn.Module):
    """An encoder whose transpose decodes."""
    def __init__(self, inputs, outputs):
        super().__init__()
        self.code = nn.Linear(inputs, 4)
        self.decode = nn.Linear(4, 4, bias=False)
        self.again = nn.Linear(4, 4)
        self.again.weight = self.decode.weight
        self.out = nn.Linear(inputs, outputs)
    def forward(self, x):
        hidden = self.again(self.decode(self.code(x).tanh()).tanh())
        return self.out(functional.linear(hidden, self.code.weight.t()))

class ControlFlow(nn.Module):
    """How often it applies a layer is up to what it made of it."""
    def __init__(self, inputs, outputs):
        super().__init__()
        self.layer, self.out = nn.Linear(inputs, inputs), nn.Linear(inputs, outputs)
    def forward(self, x):
        for _ in range(1 + int(self.layer.weight.norm().item())):
            x = torch.tanh(self.layer(x))
        return self.out(x)

class Checkpointed(nn.Module):
    def __init__(self, inputs, outputs):
        super().__init__()
        self.layer, self.out = nn.Linear(inputs, 6), nn.Linear(6, outputs)
    def forward(self, x):
        return self.out(checkpoint(self.layer, x, use_reentrant=False).tanh())
'''

FUSED = ["ReLU", "GELU"]
DENSE = ["ApproximateGELU", "Dropout"]
MAPPED = [
    "LayerNorm",
    "GroupNorm",
    "RMSNorm",
    "DropoutAndNorm",
    "AlphaDropout",
    "WeightNorm",
    "MultiheadAttention",
    "AttentionWithDropout",
    "ScaledDotProduct",
    "Transformer",
    "Embedding",
    "Tied",
]
# One after the other for another reason than vmap: rows of a batch meet each other, buffers change
# in training, or that is faster.
IN_TURN = ["Conv", "Conv2d", "ViewedConv2d"]
# And what the job's note says of the others.
NOT_MAPPED = {
    "BatchNorm": "it has batch statistics",
    "SpectralNorm": "it has batch statistics",
    "GRU": "Batching rule not implemented for aten::gru",
    "LSTM": "Batching rule not implemented for aten::lstm",
    "RNN": "Batching rule not implemented for aten::rnn",
    "ControlFlow": "vmap over calling .item",
    "Checkpointed": "vmap",
}
EVERY = [*FUSED, *DENSE, *MAPPED, *IN_TURN, *NOT_MAPPED]

FOLDS = [made_up_fold(64, inputs=8, classes=3, seed=seed) for seed in (1, 2)]
MEMBERS = [
    configuration("none", weight_decay=0.05),
    configuration("l1", 0.02),
    configuration("group_lasso", 0.01, learning_rate=0.003),
]


@pytest.fixture(autouse=True)
def _models(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    install_models(tmp_path, monkeypatch, MODELS, EVERY)


@pytest.mark.parametrize("kind", EVERY)
def test_curves_and_weights_are_those_of_a_plain_loop(kind: str) -> None:
    spec = job(model={"kind": kind}, epochs=5, batch_size=32)  # unpadded, as the loop is
    result = train(spec, MEMBERS, FOLDS[:1], 3, dtype=torch.float64)
    for place, member in enumerate(MEMBERS):
        model, curve = plain_loop(spec, member, FOLDS[:1], 0, 3)
        assert result.curves[place] == pytest.approx(curve, rel=1e-9)
        for name, value in result.parameters(place, 0).items():
            expected = model.state_dict()[name]
            assert np.allclose(value, expected, rtol=0, atol=1e-9), (member.penalty, name)


def backend_and_notes(kind: str) -> tuple[str, list[str]]:
    spec = job(model={"kind": kind}, search={"penalty": "none"})
    with torch.random.fork_rng(devices=[]):
        trainer = trainer_of(spec, FOLDS, 3)
    return trainer.backend.name, own_notes(trainer.notes)


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        *zip(FUSED, repeat("fused" if "fused" in BACKENDS else "dense")),
        *zip(DENSE, repeat("dense")),
        *zip(MAPPED, repeat("vmap")),
        *zip(IN_TURN, repeat("loop")),
    ],
)
def test_a_model_gets_its_backend_without_a_warning(kind: str, expected: str) -> None:
    assert backend_and_notes(kind) == (expected, [])


@pytest.mark.parametrize("kind", NOT_MAPPED)
def test_a_model_that_vmap_cannot_do_runs_member_by_member_and_says_why(kind: str) -> None:
    backend, (note,) = backend_and_notes(kind)
    assert backend == "loop"
    assert "runs member by member, which is slower (" in note
    assert NOT_MAPPED[kind] in note


@pytest.mark.parametrize("kind", EVERY)
def test_members_are_bitwise_the_same_in_any_company(kind: str) -> None:
    spec = job(model={"kind": kind}, epochs=2, batch_size=20)
    five = train(spec, mixed(5), FOLDS, 3)
    pair = train(spec, [mixed(5)[4], mixed(5)[2]], FOLDS, 3)
    alone = train(spec, [mixed(5)[4]], FOLDS, 3)
    assert_same_member(alone, 0, five, 4)
    assert_same_member(pair, 1, five, 2)
