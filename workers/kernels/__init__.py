"""What a training step does between its matrix products: compiled C where there is a compiler."""

from workers.kernels.library import Library, load, private_folder
from workers.kernels.steps import CompiledOptimizer, bias_relu, relu_backward, softmax_gradient

__all__ = [
    "CompiledOptimizer",
    "Library",
    "bias_relu",
    "load",
    "private_folder",
    "relu_backward",
    "softmax_gradient",
]
