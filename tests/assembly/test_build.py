"""What a configuration says of the network's input."""

import re

import pytest
from omegaconf import OmegaConf

from magicseg.assembly.build import input_size
from magicseg.errors import UserError


@pytest.mark.parametrize(("size", "expected"), [(224, (224, 224)), ([192, 256], (192, 256))])
def test_one_number_or_height_and_width(size, expected):
    assert input_size(OmegaConf.create({"size": size})) == expected


@pytest.mark.parametrize("size", ["192x256", "224", 0, -1, 1.5, None, [], [32], [32, 32, 32], [0, 32], ["a", 32], {}])
def test_any_other_size_is_refused_and_both_forms_are_named(size):
    message = f"recipe.size is {size!r}; it must be one number or [height, width]. "
    with pytest.raises(UserError, match=re.escape(message)):
        input_size(OmegaConf.create({"size": size}))
