"""Whether a model is being turned into a graph."""

from __future__ import annotations

import torch


def is_exporting() -> bool:
    """Return whether `torch.export` or an ONNX exporter is tracing: the graph should then hold for every batch size."""
    return torch.compiler.is_exporting() or torch.onnx.is_in_onnx_export()
