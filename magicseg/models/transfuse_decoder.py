"""TransFuse's decoder: the transformer's own pyramid, its fusion with the CNN's, and three heads."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from magicseg.models.attention_gate import AttentionGate
from magicseg.models.bifusion import BiFusion
from magicseg.models.layers import conv_norm


def upsample(x: Tensor, scale: int) -> Tensor:
    """Enlarge a map [B, C, H, W] bilinearly, corners aligned."""
    return functional.interpolate(x, scale_factor=scale, mode="bilinear", align_corners=True)


class Up(nn.Module):
    """Double the size, join the gated skip if there is one, residual double convolution.

    Args:
        in_channels: of the map from below.
        out_channels: of the result.
        skip_channels: of the skip; 0 for none.
    """

    def __init__(self, in_channels: int, out_channels: int, skip_channels: int = 0) -> None:
        super().__init__()
        self.gate = AttentionGate(in_channels, skip_channels, out_channels) if skip_channels else None
        joined = in_channels + skip_channels
        self.double_conv = nn.Sequential(
            conv_norm(joined, out_channels, 3), nn.ReLU(inplace=True), conv_norm(out_channels, out_channels, 3)
        )
        self.shortcut = conv_norm(joined, out_channels, 1)

    def forward(self, x: Tensor, skip: Tensor | None = None) -> Tensor:
        """Map [B, in, H, W] and, if any, the skip [B, skip, 2H, 2W] to [B, out, 2H, 2W]."""
        x = upsample(x, 2)
        if self.gate is not None and skip is not None:
            x = torch.cat([self.gate(x, skip), x], dim=1)
        return functional.relu(self.double_conv(x) + self.shortcut(x))


class TransFuseDecoder(nn.Module):
    """Features c1 @1/4, c2 @1/8, c3 @1/16 of the CNN and t @1/16 of the transformer -> logits [B, classes, H, W].

    In training three: of the joint decoder (map_2, the prediction), of the transformer's pyramid (map_1) and of the
    deepest fusion (map_x); in evaluation the prediction.

    Args:
        num_classes: channels of the logits.
        channels: of c1, c2, c3 and t.
    """

    def __init__(self, num_classes: int, channels: Sequence[int]) -> None:
        super().__init__()
        c1, c2, c3, t = channels
        self.ups = nn.ModuleList([Up(t, c2), Up(c2, c1)])
        self.fusions = nn.ModuleList([BiFusion(c3, t, 4), BiFusion(c2, c2, 2), BiFusion(c1, c1, 1)])
        self.joint_ups = nn.ModuleList([Up(c3, c2, skip_channels=c2), Up(c2, c1, skip_channels=c1)])
        self.drop = nn.Dropout2d(0.2)
        self.head_joint = _head(c1, num_classes)
        self.head_transformer = _head(c1, num_classes)
        self.head_deep = nn.Sequential(conv_norm(c3, c1, 1), nn.ReLU(inplace=True), _head(c1, num_classes))
        self.apply(_initialise)

    def forward(self, features: Sequence[Tensor]) -> Tensor | list[Tensor]:
        """Return the prediction; in training all three logits."""
        c1, c2, c3, t3 = features
        t2 = self.drop(self.ups[0](t3))
        t1 = self.ups[1](t2)
        deep = self.fusions[0](c3, t3)
        x = self.joint_ups[0](deep, self.fusions[1](c2, t2))
        x = self.joint_ups[1](x, self.fusions[2](c1, self.drop(t1)))
        prediction = upsample(self.head_joint(x), 4)
        if not self.training:
            return prediction
        return [prediction, upsample(self.head_transformer(t1), 4), upsample(self.head_deep(deep), 16)]


def _head(in_channels: int, num_classes: int) -> nn.Sequential:
    return nn.Sequential(
        conv_norm(in_channels, in_channels, 3),
        nn.ReLU(inplace=True),
        nn.Conv2d(in_channels, num_classes, 3, padding=1),
    )


def _initialise(module: nn.Module) -> None:
    """As the published code: weights kaiming normal; the bias keeps PyTorch's uniform start of 1 / sqrt(fan-in)."""
    if isinstance(module, nn.Conv2d):
        nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
