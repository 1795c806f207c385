from functools import partial

import pytest
import timm.models.vision_transformer
import torch
from torch import nn

from magicseg.models.vit import MapTransformer, TransformerLayer, resize_positions


def test_a_layer_is_timms():
    torch.manual_seed(0)
    ours = TransformerLayer(12, 3, 20, dropout=0.1).double().eval()
    norm = partial(nn.LayerNorm, eps=1e-6)
    reference = timm.models.vision_transformer.Block(12, 3, 20 / 12, qkv_bias=True, norm_layer=norm).double().eval()
    attention = ours.attention
    pairs = {
        "norm1": ours.attention_norm,
        "attn.proj": attention.out,
        "norm2": ours.mlp_norm,
        "mlp.fc1": ours.mlp[0],
        "mlp.fc2": ours.mlp[3],
    }
    for name, layer in pairs.items():
        reference.get_submodule(name).load_state_dict(layer.state_dict())
    three = (attention.query, attention.key, attention.value)
    reference.attn.qkv.weight.data = torch.cat([layer.weight for layer in three])
    reference.attn.qkv.bias.data = torch.cat([layer.bias for layer in three])
    x = torch.randn(2, 7, 12).double()
    torch.testing.assert_close(ours(x), reference(x), rtol=1e-12, atol=1e-12)


def test_published_initialisation():
    torch.manual_seed(0)
    layer = TransformerLayer(128, 2, 512, dropout=0.0)
    for linear in (layer.mlp[0], layer.mlp[3]):
        assert linear.weight.std().item() == pytest.approx((2 / (128 + 512)) ** 0.5, rel=0.02)
        assert 0 < linear.bias.std().item() < 2e-6
    assert not MapTransformer(4, 8, 1, 2, 8, (2, 2)).positions.any()


def test_each_position_has_its_embedding():
    torch.manual_seed(0)
    transformer = MapTransformer(4, 6, 0, 2, 8, (2, 3)).double().eval()
    nn.init.normal_(transformer.positions)
    x = torch.randn(1, 4, 2, 3).double()
    y = transformer(x)
    for row in range(2):
        for column in range(3):
            token = transformer.embedding(x)[0, :, row, column] + transformer.positions[0, 3 * row + column]
            torch.testing.assert_close(y[0, :, row, column], transformer.norm(token))


def test_embeddings_are_resized_corner_to_corner():
    transformer = MapTransformer(4, 2, 0, 1, 8, (2, 3)).eval()
    rows, columns = torch.meshgrid(torch.arange(2.0), torch.arange(3.0), indexing="ij")
    transformer.positions.data = torch.stack([rows, columns], dim=-1).reshape(1, 6, 2)
    transformer.embedding, transformer.norm = nn.Conv2d(4, 2, 1, bias=False), nn.Identity()  # nothing but positions
    resized = transformer(torch.zeros(1, 4, 3, 5))[0].permute(1, 2, 0)
    torch.testing.assert_close(resized[:, 0, 0], torch.tensor([0.0, 0.5, 1.0]))
    torch.testing.assert_close(resized[0, :, 1], torch.tensor([0.0, 0.5, 1.0, 1.5, 2.0]))


def test_positions_areresized_with_corners_aligned():
    def ramp(rows, columns):
        return (torch.linspace(0, 3, rows)[:, None] + torch.linspace(0, 50, columns)).reshape(1, -1, 1)

    torch.testing.assert_close(resize_positions(ramp(3, 4), (3, 4), (5, 7)), ramp(5, 7))
    torch.testing.assert_close(resize_positions(ramp(6, 2), (6, 2), (2, 9)), ramp(2, 9))


def test_heads_must_divide_the_dimensions():
    with pytest.raises(ValueError, match="heads=5 does not divide the 12 dimensions"):
        MapTransformer(4, 12, 1, 5, 8, (2, 2))
