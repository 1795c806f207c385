"""Every output of SGD-Net and CTO in evaluation, in the order of the published code: coarse to fine, then the edges."""

from torch import nn
from torch.nn import functional


class EveryOutput(nn.Module):
    def __init__(self, model):
        super().__init__()
        self.model = model

    def forward(self, x):
        *features, context = self.model.encoder(x)
        refined, edge = self.model.guidance(features)
        logits = self.model.decoder([*refined, context])
        edge = functional.interpolate(edge.sigmoid(), scale_factor=4, mode="bilinear")
        return *reversed(logits), edge
