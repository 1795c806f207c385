"""The attention gate of Attention U-Net (Oktay et al., MIDL 2018), as LeeJunHyun/Image_Segmentation builds it."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional

from magicseg.models.layers import conv_norm


class AttentionGate(nn.Module):
    """Weigh every position of a skip feature x by what the gate g of the same size finds relevant.

    y = x * sigmoid(BN(psi(ReLU(BN(W_g g) + BN(W_x x))))), where W_g, W_x and psi are 1x1 convolutions; psi leaves one
    channel.

    Args:
        gate_channels: of g, the feature from below.
        skip_channels: of x.
        inter_channels: of their sum.
    """

    def __init__(self, gate_channels: int, skip_channels: int, inter_channels: int) -> None:
        super().__init__()
        self.gate = conv_norm(gate_channels, inter_channels, 1)
        self.skip = conv_norm(skip_channels, inter_channels, 1)
        self.psi = nn.Sequential(*conv_norm(inter_channels, 1, 1), nn.Sigmoid())

    def forward(self, gate: Tensor, skip: Tensor) -> Tensor:
        """Map g [B, gate_channels, H, W] and x [B, skip_channels, H, W] to the weighted x."""
        return skip * self.psi(functional.relu(self.gate(gate) + self.skip(skip)))
