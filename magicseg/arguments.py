"""key=value arguments for the scripts, and mistakes shown as one paragraph instead of a traceback."""

from __future__ import annotations

import dataclasses
import sys
import textwrap
from collections.abc import Callable, Sequence
from typing import TypeVar

from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException

from magicseg.errors import UserError, choose

Schema = TypeVar("Schema")


def parse(schema: type[Schema], arguments: Sequence[str]) -> Schema:
    """Fill a dataclass from ``key=value`` arguments; ``--help`` prints its docstring and fields.

    Raises:
        UserError: an argument has no ``=``, an unknown key or a value of the wrong type, or a required one is missing.
    """
    keys = [field.name for field in dataclasses.fields(schema)]  # type: ignore[arg-type]
    if "--help" in arguments or "-h" in arguments:
        print(f"{textwrap.dedent(schema.__doc__ or '').strip()}\n\n{_usage(schema)}")
        sys.exit(0)
    for argument in arguments:
        if "=" not in argument:
            raise UserError(f"Argument {argument!r} is not of the form key=value. {_usage(schema)}")
        choose("argument", argument.split("=", 1)[0], keys)
    try:
        filled = OmegaConf.merge(OmegaConf.structured(schema), dict(argument.split("=", 1) for argument in arguments))
        missing = sorted(OmegaConf.missing_keys(filled))
        if missing:
            raise UserError(f"Missing: {', '.join(f'{key}=...' for key in missing)}. {_usage(schema)}")
        return OmegaConf.to_object(filled)  # type: ignore[return-value]
    except OmegaConfBaseException as error:
        raise UserError(f"{str(error).splitlines()[0]} (argument {error.full_key}). {_usage(schema)}") from error


def run_friendly(main: Callable[[Sequence[str]], None]) -> None:
    """Call ``main`` with the command line's arguments; a UserError ends as a paragraph on stderr and exit code 1."""
    try:
        main(sys.argv[1:])
    except UserError as error:
        print(paragraph(error), file=sys.stderr)
        sys.exit(1)
    except KeyboardInterrupt:
        print("\nInterrupted.", file=sys.stderr)
        sys.exit(130)


def paragraph(error: Exception) -> str:
    """Return the text in which an error is shown to the user."""
    return "\n" + textwrap.fill(f"Error: {error}", width=110, break_long_words=False, break_on_hyphens=False)


def _usage(schema: type) -> str:
    template = OmegaConf.structured(schema)
    fields = [
        f"{field.name}=..." if OmegaConf.is_missing(template, field.name) else f"[{field.name}={template[field.name]}]"
        for field in dataclasses.fields(schema)
    ]
    return f"Usage: {' '.join(fields)}"
