"""What figures show of a network: class activation maps and guidance."""

import pytest
import torch
from torch import nn

from magicseg.convs import MAGICConv2d
from magicseg.errors import UserError
from magicseg.guidance import GuidedPyramid
from magicseg.models.unet import UNet
from magicseg.reports.figures.grad_cam import class_activation, layers
from magicseg.reports.figures.structure import resized, structure_maps


def _head(*weights):
    """Return a network: an identity layer, and logits that are its channels' weighted sums."""
    head = nn.Conv2d(len(weights[0]), len(weights), 1, bias=False)
    with torch.no_grad():
        head.weight.copy_(torch.tensor(weights)[:, :, None, None])
    return nn.Sequential(nn.Identity(), head)


def test_a_single_helpful_channel_is_its_own_map_and_a_harmful_one_has_none():
    x = torch.tensor([[[[0.0, 1.0], [2.0, 4.0]]]])
    torch.testing.assert_close(class_activation(_head([0.5], [-0.5]), x, "0", 0), x[0, 0] / 4)
    assert not class_activation(_head([0.5], [-0.5]), x, "0", 1).any()


def test_channels_are_weighted_as_the_paper_says():
    torch.manual_seed(0)
    x, w = torch.rand(1, 3, 5, 6), torch.tensor([0.7, -0.4, 1.5])
    # eq. 19 for constant gradients w: alpha = w^2 / (2 w^2 + w^3 sum(A)), weight = sum over pixels of alpha relu(w)
    alpha = w**2 / (2 * w**2 + w**3 * x[0].sum(dim=(1, 2)))
    expected = (30 * alpha * w.relu())[:, None, None].mul(x[0]).sum(dim=0).relu()
    torch.testing.assert_close(class_activation(_head(w.tolist()), x, "0", 0), expected / expected.max())


def test_logits_of_thousands_of_pixels_do_not_overflow():
    picture = class_activation(_head([30.0]), torch.rand(1, 1, 64, 64), "0", 0)  # exp(sum) would be infinite
    assert picture.isfinite().all()
    assert picture.max() == 1


@pytest.mark.parametrize("layer", ["encoder.blocks.1.0", "encoder.blocks.1.1", "encoder.blocks.1.2", "decoder.ups.0"])
def test_any_layer_of_a_dynamic_network_can_be_explained_and_the_model_stays_as_it_was(layer):
    torch.manual_seed(0)
    model = UNet(1, 3, conv=lambda *args, **kwargs: MAGICConv2d(*args, **kwargs, num_kernels=2), width=4).train()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    picture = class_activation(model, torch.rand(1, 1, 32, 48), layer, 2)
    assert picture.shape == (32, 48)
    assert picture.isfinite().all()
    assert 0 <= picture.min() <= picture.max() <= 1
    assert model.training
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert all(parameter.grad is None for parameter in model.parameters())
    assert not any(module._forward_hooks or module._backward_hooks for module in model.modules())
    assert all(module.inplace for module in model.modules() if isinstance(module, nn.ReLU))


class InPlace(nn.Module):
    """A residual sum in place, and a layer that has no part in the prediction."""

    def __init__(self):
        super().__init__()
        self.layer, self.idle, self.head = nn.Conv2d(1, 2, 1), nn.Conv2d(1, 2, 1), nn.Conv2d(2, 2, 1)

    def forward(self, x):
        self.idle(x)
        y = self.layer(x)
        y += x
        return self.head(y)


def test_layers_that_are_changed_in_place_later_or_lead_nowhere_can_be_explained():
    torch.manual_seed(0)
    model, x = InPlace(), torch.rand(1, 1, 4, 5)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.abs_()
    activation = model.layer(x).detach()
    w = model.head.weight[1, :, 0, 0].detach()
    alpha = w**2 / (2 * w**2 + w**3 * activation[0].sum(dim=(1, 2)))
    expected = (alpha * w.relu())[:, None, None].mul(activation[0]).sum(dim=0).relu()
    torch.testing.assert_close(class_activation(model, x, "layer", 1), expected / expected.max())
    assert not class_activation(model, x, "idle", 1).any()


def test_layers_are_listed_in_the_order_in_which_they_run():
    found = layers(UNet(1, 3, width=2), torch.zeros(1, 1, 32, 48))
    names = list(found)
    assert found["encoder.blocks.4"] == (32, 2, 3)
    assert class_activation(UNet(1, 3, width=2), torch.zeros(1, 1, 32, 48), "encoder.blocks.4", 0).shape == (32, 48)
    assert names.index("encoder.blocks.4") < names.index("decoder.ups.0") < names.index("decoder.head")
    assert "encoder" not in found  # it returns a list


def test_an_unknown_layer_is_answered_with_the_nearest():
    with pytest.raises(UserError, match=r"Unknown layer 'decoder\.up\.3'\. Did you mean decoder\.ups\.3 or"):
        class_activation(UNet(1, 3, width=2), torch.zeros(1, 1, 16, 16), "decoder.up.3", 1)


def test_maps_are_resized_bilinearly():
    torch.testing.assert_close(resized(torch.tensor([[0.0, 1.0]]), 1, 4), torch.tensor([[0.0, 0.25, 0.75, 1.0]]))


def test_structure_maps_are_the_edge_probability_and_the_length_of_the_guidance():
    torch.manual_seed(0)
    model = UNet(1, 3, width=4)
    model.guidance = GuidedPyramid(model.channels, "sgdc").eval()
    x = torch.rand(1, 1, 32, 32)
    maps = structure_maps(model, x)
    assert model.training
    assert not model.guidance._forward_hooks
    with torch.no_grad():
        features = model.eval().encoder(x)
        edge, guidance = model.guidance.sge(features[-1], features[0])
    torch.testing.assert_close(maps["edge map"], torch.sigmoid(edge)[0, 0])
    length = torch.linalg.vector_norm(guidance[0], dim=0)
    torch.testing.assert_close(maps["guidance"], length / length.max())


def test_a_network_without_guidance_has_no_structure_maps():
    model = UNet(1, 3, width=2)
    assert structure_maps(model, torch.zeros(1, 1, 16, 16)) == {}
    model.guidance = GuidedPyramid(model.channels, "none")
    assert structure_maps(model, torch.zeros(1, 1, 16, 16)) == {}
