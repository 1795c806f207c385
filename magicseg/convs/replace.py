"""Dynamic convolutions in any network: exchange its `nn.Conv2d` layers in place."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from functools import partial
from typing import Any, Literal, NamedTuple

from torch import nn

from magicseg.convs.create import create_conv
from magicseg.convs.dcd import DCDConv2d
from magicseg.convs.static_start import load_static_
from magicseg.errors import nearest


class Scope(NamedTuple):
    """Which plain `nn.Conv2d` layers a word picks."""

    looks_for: str
    picks: Callable[[nn.Conv2d, bool], bool]
    """Of a layer, and whether it is the network's first convolution."""


SCOPES = {
    "3x3": Scope(
        "3x3 convolutions other than the network's first",
        lambda layer, first: layer.kernel_size == (3, 3) and not first,
    ),
    "3x3_all": Scope("3x3 convolutions", lambda layer, first: layer.kernel_size == (3, 3)),
    "all": Scope("convolutions of any size", lambda layer, first: True),
}
"""The scopes by name. All pass by subclasses of `nn.Conv2d`, which may compute something else."""


def replace_convs(
    model: nn.Module,
    conv: str | Callable[..., nn.Module],
    *,
    scope: str | Callable[[str, nn.Conv2d], bool] = "3x3",
    init: Literal["fresh", "static"] = "fresh",
    **options: Any,
) -> list[str]:
    """Exchange convolutions of ``model`` in place for a dynamic operator; return the names of the layers exchanged.

    Stride, padding, dilation, groups, whether there is a bias, device, dtype and training mode are kept. A layer that
    the network uses in several places stays one layer. If anything is refused, the network is as it was. Build the
    optimiser afterwards: the parameters are new.

    Example:
        >>> from torchvision.models import resnet18
        >>> len(replace_convs(resnet18(), "magic_2x"))
        16

    Args:
        model: any network.
        conv: an operator's name (`list_convs()`), or a callable with `nn.Conv2d`'s arguments up to `bias`.
        scope: "3x3" (the default: all 3x3 convolutions but the network's first convolution, the first in the order of
            `model.modules()`), "3x3_all", "all", or your own `predicate(name, layer) -> bool`. The words pick
            `nn.Conv2d` itself only; a predicate is asked about its subclasses too. What they do beyond a convolution,
            such as standardising the weight, is lost.
        init: "fresh" draws the operator's own start; "static" makes the network's output at the start equal to the
            present one (`magicseg.convs.static_start`), e.g. for pretrained weights.
        options: the operator's own, e.g. `form="released"`.

    Raises:
        UserError: no operator has this name.
        ValueError: no layer is picked; the operator refuses a layer's arguments; a layer pads with other values than
            zero; or, with init="static", the operator or the layer (a subclass, one with hooks) does not allow it. The
            network is unchanged, and the text names the layer.
        TypeError: the operator has no such option.
    """
    if init not in ("fresh", "static"):
        raise ValueError(f"init must be 'fresh' or 'static', not {init!r}.")
    build = partial(create_conv, conv, **options) if isinstance(conv, str) else partial(conv, **options)
    picked = _pick(model, scope)
    operators = {layer: _stand_in(name, layer, build, init == "static") for name, layer in picked.items()}
    for parent in list(model.modules()):
        for name, child in list(parent._modules.items()):
            if isinstance(child, nn.Conv2d) and child in operators:
                setattr(parent, name, operators[child])
    return list(picked)


def _pick(model: nn.Module, scope: str | Callable[[str, nn.Conv2d], bool]) -> dict[str, nn.Conv2d]:
    layers = _convolutions(model)
    if callable(scope):
        looks_for = "convolutions that the given predicate accepts"
        picked = {name: layer for name, layer in layers.items() if scope(name, layer)}
    elif scope in SCOPES:
        looks_for, picks = SCOPES[scope]
        first = next(iter(layers), None)
        picked = {name: x for name, x in layers.items() if type(x) is nn.Conv2d and picks(x, name == first)}
    else:
        raise ValueError(f"Unknown scope {scope!r}. {nearest(scope, SCOPES)} Or give a predicate(name, layer).")
    if not picked:
        kinds = Counter(type(layer).__name__ for layer in layers.values())
        found = ", ".join(f"{count} {kind}" for kind, count in kinds.items()) or "no nn.Conv2d"
        raise ValueError(
            f"Nothing to replace in {type(model).__name__}: looked for {looks_for}; it holds {found}, "
            f"operators already dynamic not counted."
        )
    return picked


def _convolutions(model: nn.Module) -> dict[str, nn.Conv2d]:
    """Return the network's convolutions by name, in the order of `model.modules()`, but for those inside operators."""
    # DCD alone holds an nn.Conv2d
    inside = {part for module in model.modules() if isinstance(module, DCDConv2d) for part in module.modules()}
    return {
        name: module
        for name, module in model.named_modules()
        if name and isinstance(module, nn.Conv2d) and module not in inside
    }


def _stand_in(name: str, layer: nn.Conv2d, build: Callable[..., nn.Module], static: bool) -> nn.Module:
    """Return the operator for the place of ``layer``; what cannot be is refused with the layer's name."""
    try:
        if layer.padding_mode != "zeros":
            raise ValueError(f"dynamic operators pad with zeros only, not padding_mode={layer.padding_mode!r}.")
        if static and type(layer) is not nn.Conv2d:
            raise ValueError("init='static' needs nn.Conv2d itself: a subclass may compute something else.")
        if static and (layer._forward_pre_hooks or layer._forward_hooks):
            raise ValueError("init='static' needs a layer without hooks: weight_norm's, for one, compute the weight.")
        operator = build(
            layer.in_channels, layer.out_channels, layer.kernel_size, layer.stride, layer.padding, layer.dilation,
            layer.groups, layer.bias is not None,
        ).to(layer.weight)  # fmt: skip
        if static:
            load_static_(operator, layer.weight, layer.bias)
    except ValueError as error:
        raise ValueError(f"Layer {name!r}, {layer}, cannot be replaced: {error}") from error
    return operator.train(layer.training)
