"""Hamburger's core: non-negative matrix factorisation as a layer that gathers global context."""

from __future__ import annotations

from typing import Literal, get_args

import torch
from torch import Tensor, nn
from torch.nn import functional

from magicseg.guidance.checks import check_choice, check_positive
from magicseg.ops.precision import without_autocast

EPS = 1e-6
Gradient = Literal["all_steps", "last_step_only"]


class NMF2d(nn.Module):
    """Replace a non-negative map by its approximation of low rank, found by multiplicative updates.

    X `[D, N]` holds D channels of N = H * W positions. Bases D_ `[D, R]` and coefficients C_ `[N, R]`, at first
    softmax(X^T D_), are updated in turn, C_ once more at the end; the result is D_ C_^T. There are no parameters.

    The bases are drawn uniformly and normalised over D at every call. In training they come from torch's global
    generator, like dropout, one set a sample. In evaluation one set, drawn from `seed`, serves all samples, so that
    a sample's result depends neither on earlier calls nor on its batch.

    Args:
        rank: R.
        splits: the channels are factorised in so many groups, D = C / splits.
        train_steps: updates in training.
        eval_steps: updates in evaluation.
        gradient: "all_steps" differentiates through all updates (light Hamburger head); "last_step_only" through the
            last one of the coefficients and the product (original HamNet).
        seed: of the bases in evaluation.

    Raises:
        ValueError: an argument outside these limits.

    Source: Is Attention Better Than Matrix Decomposition? (Geng et al., ICLR 2021); Gsunshine/Enjoy-Hamburger.
    """

    def __init__(
        self,
        rank: int = 64,
        splits: int = 1,
        train_steps: int = 6,
        eval_steps: int = 7,
        gradient: Gradient = "all_steps",
        seed: int = 0,
    ) -> None:
        super().__init__()
        check_positive(rank=rank, splits=splits)
        for name, value in {"train_steps": train_steps, "eval_steps": eval_steps}.items():
            if value < 0:
                raise ValueError(f"{name} must be at least 0, not {value}.")
        check_choice("gradient", gradient, get_args(Gradient))
        self.rank, self.splits, self.gradient, self.seed = rank, splits, gradient, seed
        self.train_steps, self.eval_steps = train_steps, eval_steps

    def forward(self, x: Tensor, bases: Tensor | None = None) -> Tensor:
        """Map x `[B, C, H, W]`, all values >= 0, to the same shape.

        `bases` `[B * splits, C / splits, rank]` replace the drawn ones.

        Raises:
            ValueError: C is not divisible by splits, or bases of another shape.
        """
        B, C = x.shape[:2]
        if C % self.splits:
            raise ValueError(f"The {C} channels of x must be divisible by splits={self.splits}.")
        X = x.flatten(2).unflatten(1, (self.splits, C // self.splits)).flatten(0, 1)
        if bases is None:
            bases = self._draw_bases(B, C // self.splits, x.device)
        elif bases.shape != (*X.shape[:2], self.rank):
            raise ValueError(f"bases must be {[*X.shape[:2], self.rank]}, not {list(bases.shape)}.")
        with without_autocast(x.device):  # half precision cannot hold sums over all positions
            X = X.to(torch.promote_types(X.dtype, torch.float32))
            return self._low_rank(X, bases.to(X)).reshape(x.shape).to(x.dtype)

    def _low_rank(self, X: Tensor, bases: Tensor) -> Tensor:
        with torch.set_grad_enabled(torch.is_grad_enabled() and self.gradient == "all_steps"):
            bases, coefficients = self._factorise(X, bases)
        coefficients = _update(coefficients, X.mT @ bases, bases)
        return bases @ coefficients.mT

    def _draw_bases(self, B: int, D: int, device: torch.device) -> Tensor:
        if self.training:
            bases = torch.rand(B * self.splits, D, self.rank, device=device)
        else:
            generator = torch.Generator("cpu").manual_seed(self.seed)  # the same bases on every device
            bases = torch.rand(self.splits, D, self.rank, generator=generator, device="cpu")
            if torch.jit.is_tracing():  # a constant: a trace would keep the generator and draw others at every call
                bases = torch.from_numpy(bases.numpy())
            bases = bases.to(device).repeat(B, 1, 1)
        return functional.normalize(bases, dim=1)

    def _factorise(self, X: Tensor, bases: Tensor) -> tuple[Tensor, Tensor]:
        coefficients = (X.mT @ bases).softmax(-1)
        for _ in range(self.train_steps if self.training else self.eval_steps):
            coefficients = _update(coefficients, X.mT @ bases, bases)
            bases = _update(bases, X @ coefficients, coefficients)
        return bases, coefficients

    def extra_repr(self) -> str:
        """Return the settings for `repr`."""
        return f"rank={self.rank}, splits={self.splits}, steps={self.train_steps}/{self.eval_steps}, {self.gradient}"


def _update(factor: Tensor, target: Tensor, other: Tensor) -> Tensor:
    """Multiply by target / (factor other^T other), the step that never leaves the non-negative numbers."""
    return factor * (target / (factor @ (other.mT @ other) + EPS))
