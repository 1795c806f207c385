"""Randomness is derived, not carried: every random choice comes from a key such as (seed, purpose, epoch, sample).

Because no generator state is handed on, a resumed run and any number of data workers give the same numbers.
"""

from __future__ import annotations

import hashlib

import numpy as np

Key = int | str


def derive_seed(*key: Key) -> int:
    """Return a 63-bit seed that depends on every part of ``key``, e.g. ``derive_seed(1, "augment", epoch, sample)``."""
    text = "\x1f".join(f"{type(part).__name__}:{part}" for part in key)
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "big") >> 1


def generator(*key: Key) -> np.random.Generator:
    """Return a NumPy generator seeded by ``key``."""
    return np.random.default_rng(derive_seed(*key))
