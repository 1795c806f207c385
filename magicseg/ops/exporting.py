"""Whether a model is being turned into a graph."""

from __future__ import annotations

import torch


def is_exporting() -> bool:
    """Return whether `torch.export`, `torch.jit.trace` or an ONNX exporter is at work.

    The graph should then hold for every batch size, and of autograd functions only their operations can be stored.
    """
    return torch.compiler.is_exporting() or torch.onnx.is_in_onnx_export() or torch.jit.is_tracing()
