"""Checkpoints: plain containers, written atomically, checked and read with weights_only=True."""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import Any

import torch

from magicseg.errors import UserError
from magicseg.files import write_atomic

_ADVICE = "Restore it, or delete the run folder and train again."  # without its checkpoint, a run cannot go on


def save_checkpoint(path: Path, content: dict[str, Any]) -> None:
    """Write ``content``, plain containers of tensors, numbers and strings: the old file or the new one, never half."""
    write_atomic(path, lambda file: torch.save(content, file))


def load_checkpoint(path: Path) -> dict[str, Any]:
    """Read a checkpoint onto the CPU.

    Raises:
        UserError: the file is missing, damaged (a member fails its CRC) or holds more than plain containers.
    """
    if not path.is_file():
        raise UserError(f"Checkpoint {path} does not exist. {_ADVICE}")
    try:
        with zipfile.ZipFile(path) as archive:  # torch.load itself does not look at the CRCs
            damaged = archive.testzip()
        if damaged is not None:
            raise UserError(f"Checkpoint {path} is damaged: {damaged} fails its checksum. {_ADVICE}")
        return torch.load(path, map_location="cpu", weights_only=True)
    except UserError:
        raise
    except Exception as error:  # damage shows as zip, pickle, key, unicode or runtime errors
        raise UserError(f"Checkpoint {path} cannot be read ({type(error).__name__}). {_ADVICE}") from error
