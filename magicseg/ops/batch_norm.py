"""Batch normalisation that also trains with a batch of one."""

from __future__ import annotations

from torch import Tensor, distributed, nn
from torch.nn import functional


def batch_norm_vectors(norm: nn.modules.batchnorm._BatchNorm, v: Tensor) -> Tensor:
    """Apply the batch norm layer ``norm`` to vectors ``v`` `[B, C]`.

    In training with B <= 1 there is no variance over the batch, and PyTorch raises. Here such a batch is normalised by
    the running statistics, as in evaluation, and does not update them. `nn.SyncBatchNorm` has the batches of all
    processes, so one of them alone must not go its own way: the others would wait for it.
    """
    if norm.training and v.shape[0] <= 1 and not _shares_statistics(norm):
        return functional.batch_norm(
            v, norm.running_mean, norm.running_var, norm.weight, norm.bias, False, 0.0, norm.eps
        )
    return norm(v)


def _shares_statistics(norm: nn.Module) -> bool:
    """Return whether several processes normalise by their common mean and variance."""
    if not isinstance(norm, nn.SyncBatchNorm) or not distributed.is_available() or not distributed.is_initialized():
        return False
    return distributed.get_world_size(norm.process_group) > 1
