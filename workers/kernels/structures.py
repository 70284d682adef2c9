"""What linear.c is given and what it gives back, field by field."""

from __future__ import annotations

import ctypes

from workers.kernels.products import ProductsStructure

Address = ctypes.c_void_p


class KeptStructure(ctypes.Structure):
    """`Kept` in linear.c."""

    _fields_ = (("count", ctypes.c_int64), ("features", Address), ("blocks", Address))


class PullStructure(ctypes.Structure):
    """`Pull` in quadratic.h."""

    _fields_ = (("l1", ctypes.c_double), ("l2", ctypes.c_double), ("group", ctypes.c_double))


class RowsStructure(ctypes.Structure):
    """`Rows` in linear.c."""

    _fields_ = (
        ("rows", ctypes.c_int64),
        ("features", ctypes.c_int64),
        ("outputs", ctypes.c_int64),
        ("classes", ctypes.c_int64),
        ("loss", ctypes.c_int64),
        ("delta", ctypes.c_double),
        ("contrasts", Address),
        ("columns", Address),
        ("shares", Address),
        ("targets", Address),
        ("most", ctypes.c_int64),
        ("products", ctypes.POINTER(ProductsStructure)),
        ("factors", Address),
    )


class MomentsStructure(ctypes.Structure):
    """`Moments` in linear.c."""

    _fields_ = (
        ("features", ctypes.c_int64),
        ("curvature", Address),
        ("cross", Address),
        ("square", ctypes.c_double),
        ("factors", Address),
    )


class MemberStructure(ctypes.Structure):
    """`Member` in linear.c."""

    _fields_ = (
        ("features", PullStructure),
        ("intercept", PullStructure),
        ("kept", ctypes.POINTER(KeptStructure)),
        ("smoothing", ctypes.c_double),
        ("before", ctypes.c_double),
        ("tolerance", ctypes.c_double),
        ("steps", ctypes.c_int64),
    )


class FoundStructure(ctypes.Structure):
    """`Found` in linear.c."""

    _fields_ = (
        ("value", ctypes.c_double),
        ("residual", ctypes.c_double),
        ("steps", ctypes.c_int64),
        ("status", ctypes.c_int64),
    )
