"""Room for what linear.c remembers of least squares."""

from __future__ import annotations

import ctypes

import torch


class ProductsStructure(ctypes.Structure):
    """`Products` in linear.c."""

    _fields_ = (
        ("capacity", ctypes.c_int64),
        ("used", ctypes.c_int64),
        ("slots", ctypes.c_void_p),
        ("features", ctypes.c_void_p),
        ("curvature", ctypes.c_void_p),
    )


class Products:
    """Room for the curvatures of least squares between features of working sets."""

    def __init__(self, features: int, most: int) -> None:
        self._kept = (
            torch.full((features,), -1, dtype=torch.int64),
            torch.zeros(most, dtype=torch.int64),
            torch.zeros(most, most, dtype=torch.float64),
        )
        self.structure = ProductsStructure(most, 0, *(part.data_ptr() for part in self._kept))
