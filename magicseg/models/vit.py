"""The transformer of a Vision Transformer (Dosovitskiy et al., ICLR 2021) on a map of features."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional


class SelfAttention(nn.Module):
    """Multi-head self-attention of tokens [B, N, dim] -> [B, N, dim]."""

    def __init__(self, dim: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.query, self.key, self.value = nn.Linear(dim, dim), nn.Linear(dim, dim), nn.Linear(dim, dim)
        self.out = nn.Linear(dim, dim)

    def forward(self, x: Tensor) -> Tensor:
        """Return the attended tokens."""
        q, k, v = (f(x).unflatten(2, (self.heads, -1)).transpose(1, 2) for f in (self.query, self.key, self.value))
        return self.out(functional.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2))


class TransformerLayer(nn.Module):
    """Attention and a multi-layer perceptron of ``mlp`` hidden units, each on normalised tokens and added to them."""

    def __init__(self, dim: int, heads: int, mlp: int, dropout: float) -> None:
        super().__init__()
        self.attention_norm, self.mlp_norm = nn.LayerNorm(dim, eps=1e-6), nn.LayerNorm(dim, eps=1e-6)
        self.attention = SelfAttention(dim, heads)
        inner, outer = nn.Linear(dim, mlp), nn.Linear(mlp, dim)
        self.mlp = nn.Sequential(inner, nn.GELU(), nn.Dropout(dropout), outer, nn.Dropout(dropout))
        for layer in (inner, outer):
            nn.init.xavier_uniform_(layer.weight)
            nn.init.normal_(layer.bias, std=1e-6)

    def forward(self, x: Tensor) -> Tensor:
        """Map tokens [B, N, dim] to tokens."""
        x = x + self.attention(self.attention_norm(x))
        return x + self.mlp(self.mlp_norm(x))


class MapTransformer(nn.Module):
    """A map [B, C, h, w], each position a token -> [B, dim, h, w].

    Each token gets a learned embedding of its position. For another size than ``grid`` the embeddings are resized
    bilinearly, corner to corner, as TransUNet fits those of ImageNet to its input.

    Args:
        in_channels: C.
        dim: of a token.
        layers: transformer layers.
        heads: of each attention.
        mlp: hidden units of each layer's perceptron.
        grid: rows and columns that there are embeddings for.
        dropout: after the embedding and in the perceptrons.

    Raises:
        ValueError: ``heads`` does not divide ``dim``.
    """

    def __init__(
        self, in_channels: int, dim: int, layers: int, heads: int, mlp: int, grid: tuple[int, int], dropout: float = 0.1
    ) -> None:
        super().__init__()
        if heads < 1 or dim % heads:
            raise ValueError(f"heads={heads} does not divide the {dim} dimensions of a token.")
        self.grid = grid
        self.embedding = nn.Conv2d(in_channels, dim, 1)
        self.positions = nn.Parameter(torch.zeros(1, grid[0] * grid[1], dim))
        self.dropout = nn.Dropout(dropout)
        self.layers = nn.Sequential(*(TransformerLayer(dim, heads, mlp, dropout) for _ in range(layers)))
        self.norm = nn.LayerNorm(dim, eps=1e-6)

    def forward(self, x: Tensor) -> Tensor:
        """Return the transformed map."""
        x = self.embedding(x)
        h, w = x.shape[-2:]
        tokens = self.dropout(x.flatten(2).mT + resize_positions(self.positions, self.grid, (h, w)))
        return self.norm(self.layers(tokens)).mT.unflatten(2, (h, w))


def resize_positions(positions: Tensor, old: tuple[int, int], new: tuple[int, int]) -> Tensor:
    """Resize embeddings [1, rows * columns, C] of the ``old`` grid of tokens to the ``new`` one, corner to corner."""
    if old == new:
        return positions
    grid = positions.mT.unflatten(2, old)
    return functional.interpolate(grid, new, mode="bilinear", align_corners=True).flatten(2).mT
