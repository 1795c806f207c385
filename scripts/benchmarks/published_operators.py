"""The published forms of the operators, step by step as their authors compute them: what magicseg is timed against."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from magicseg.convs.magic import MAGICConv2d


class PublishedMAGIC(nn.Module):
    """The released MAGIC convolution's steps on the parameters of a `MAGICConv2d(form="released")`."""

    def __init__(self, conv: MAGICConv2d) -> None:
        super().__init__()
        self.conv = conv

    def weights(self, x: Tensor) -> Tensor:
        """Return the aggregation weights `[B, K]`: maps are replicated to C channels before they are averaged."""
        p, (B, C, H, W) = self.conv, x.shape
        beta_c = functional.adaptive_avg_pool2d(x, 1)
        attention = functional.conv2d(x, p.mask.weight, p.mask.bias).view(B, 1, H * W).softmax(2)
        context = torch.matmul(x.view(B, 1, C, H * W), attention.unsqueeze(3)).view(B, C, 1, 1)
        context = p.ctx_norm(functional.conv2d(context, p.ctx_reduce.weight, p.ctx_reduce.bias))
        beta_g = functional.conv2d(functional.gelu(context), p.ctx_expand.weight, p.ctx_expand.bias)
        maps = torch.cat([x.mean(1, keepdim=True), x.max(1, keepdim=True)[0]], 1)
        beta_s = functional.adaptive_avg_pool2d(maps.repeat(1, C // 2, 1, 1), 1)
        hidden = functional.relu(functional.conv2d(beta_c + beta_g + beta_s, p.squeeze.weight))
        beta = functional.conv2d(hidden, p.logits.weight)
        if p.num_kernels > 1:
            reduced = functional.relu(p.kr_norm(functional.conv2d(beta, p.kr_reduce.weight).flatten(1)))
            beta = beta * functional.conv2d(reduced[:, :, None, None], p.kr_expand.weight).sigmoid()
        return (beta.flatten(1) / p.temperature).softmax(1)

    def forward(self, x: Tensor) -> Tensor:
        """Return `[B, O, H', W']`: kernels mixed by a matrix product, then one grouped convolution."""
        p, (B, _, H, W) = self.conv, x.shape
        pi = self.weights(x)
        kernels = torch.mm(pi, p.kernels.view(p.num_kernels, -1)).view(-1, *p.kernels.shape[2:])
        bias = None if p.kernel_bias is None else torch.mm(pi, p.kernel_bias).view(-1)
        y = functional.conv2d(
            x.view(1, -1, H, W), kernels, bias, p.stride, p.padding, p.dilation, p.groups * B
        )  # fmt: skip
        return y.view(B, p.out_channels, *y.shape[2:])


def grouped_mixture(x: Tensor, kernels: Tensor, weights: Tensor) -> Tensor:
    """Convolve x `[B, C, H, W]` with mixtures of kernels `[K, O, C, 3, 3]`: a batch is one image of B groups."""
    (B, _, H, W), (K, O) = x.shape, kernels.shape[:2]  # noqa: E741
    mixed = torch.mm(weights, kernels.view(K, -1)).view(B * O, *kernels.shape[2:])
    return functional.conv2d(x.reshape(1, -1, H, W), mixed, padding=1, groups=B).view(B, O, H, W)
