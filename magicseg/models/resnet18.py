"""ResNet-18 (He et al., CVPR 2016) with the light Hamburger head (Geng et al., ICLR 2021): MAGIC's "ResNet 18".

The paper names no head. This one, on all four stages, comes to 12,328,777 parameters and 9.641 GMACs for 3 channels, 9
classes and 256 x 256; Table 5 prints 12.34 M and 9.671 GFLOPs.
"""

from __future__ import annotations

import timm
import torch
from torch import Tensor, nn
from torch.nn import functional

from magicseg.guidance.layers import resize_like
from magicseg.models.exchange import SCOPES, exchange_convs
from magicseg.models.hamburger import NMF2d
from magicseg.models.layers import conv_norm
from magicseg.models.model import Conv, SegmentationModel, check_scope


class ResNet18Encoder(nn.Module):
    """[B, C, H, W] -> four features [B, width * 2**i, H / 2**(i + 2), W / 2**(i + 2)], by timm's ResNet-18."""

    def __init__(self, in_channels: int, widths: list[int], conv: Conv, scope: str) -> None:
        super().__init__()
        self.network = timm.create_model(
            "resnet18",
            features_only=True,
            out_indices=(1, 2, 3, 4),
            in_chans=in_channels,
            channels=tuple(widths),
            zero_init_last=False,  # as torchvision's: every residual branch counts from the start
        )
        exchange_convs(self.network, conv, scope)

    def forward(self, x: Tensor) -> list[Tensor]:
        """Return the features, shallow to deep."""
        return self.network(x)


class LightHamburger(nn.Module):
    """Features, shallow to deep -> logits [B, classes, 4 H, 4 W], where H x W is the size of the shallowest.

    All features are resized to the shallowest; global context comes from a factorisation of rank 64.
    """

    def __init__(self, num_classes: int, widths: list[int]) -> None:
        super().__init__()
        channels, aligned = widths[-1], widths[-1] // 2
        self.squeeze = nn.Sequential(*conv_norm(sum(widths), channels, 1, bias=False), nn.ReLU(inplace=True))
        self.ham_in = nn.Sequential(nn.Conv2d(channels, channels, 1), nn.ReLU(inplace=True))
        self.nmf = NMF2d(rank=64, train_steps=6, eval_steps=7)
        self.ham_out = conv_norm(channels, channels, 1, bias=False)
        self.align = nn.Sequential(
            *conv_norm(channels, aligned, 1, bias=False), nn.ReLU(inplace=True), nn.Dropout2d(0.1)
        )
        self.head = nn.Conv2d(aligned, num_classes, 1)

    def forward(self, features: list[Tensor]) -> Tensor:
        """Return the logits."""
        x = self.squeeze(torch.cat([resize_like(feature, features[0]) for feature in features], dim=1))
        x = functional.relu(x + self.ham_out(self.nmf(self.ham_in(x))))
        logits = self.head(self.align(x))
        return functional.interpolate(logits, scale_factor=4, mode="bilinear", align_corners=False)


class ResNet18(SegmentationModel):
    """ResNet-18 with the light Hamburger head, whose convolutions in the encoder can be any convolution.

    Evaluation is reproducible: the bases of the factorisation are then drawn from a fixed seed (`NMF2d`).

    Args:
        in_channels: channels of the image.
        num_classes: classes, background included.
        conv: the convolution to compare; called with nn.Conv2d's arguments and bias=False.
        width: channels of the first stage, doubled three times; 64 is ResNet-18. The stem always has 64, so
            with another width the first stage too begins with a 1x1 shortcut.
        scope: where ``conv`` goes. ``encoder_3x3`` (default): the sixteen 3x3 convolutions of the basic blocks, which
            the parameters of MAGIC Table 5 demand; ``encoder_all``: the 1x1 convolutions of the shortcuts too, that is
            "all convolution layers except the first layer" (MAGIC section 4.2).

    Raises:
        ValueError: unknown scope, or width below 1.

    Source: light Hamburger head of Gsunshine/Enjoy-Hamburger, with batch norm, on all four stages.
    """

    def __init__(
        self, in_channels: int, num_classes: int, conv: Conv = nn.Conv2d, width: int = 64, scope: str = "encoder_3x3"
    ) -> None:
        check_scope("ResNet18", scope, SCOPES)
        if width < 1:
            raise ValueError(f"width must be at least 1, found {width}.")
        widths = [width * 2**stage for stage in range(4)]
        super().__init__(
            ResNet18Encoder(in_channels, widths, conv, scope),
            LightHamburger(num_classes, widths),
            stride=32,
            channels=widths,
        )
