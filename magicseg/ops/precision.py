"""Full precision where autocast would round sums over many values."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext

import torch


def without_autocast(device: torch.device) -> AbstractContextManager[object]:
    """Return a context in which operations keep the types of their tensors on ``device``.

    Devices that have no autocast, such as "meta", which counts operations, need none and `torch.autocast` refuses them.
    """
    if not torch.amp.is_autocast_available(device.type):
        return nullcontext()
    return torch.autocast(device.type, enabled=False)
