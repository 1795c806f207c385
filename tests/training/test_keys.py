"""Values of the wrong kind are refused by one sentence: the key, what was found, what is allowed."""

import re

import pytest

from magicseg.errors import UserError
from magicseg.training.run import run

TARGET = "a group of keys with the _target_ that is built, as in configs/"


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("mode=null", "Unknown mode None. Allowed: evaluate, train."),
        ("run=3", "run is 3; it must be a text, or null."),
        ("trust=maybe", "trust is 'maybe'; it must be true or false."),
        ("seed=true", "seed is True; it must be a whole number."),
        ("seed=1.5", "seed is 1.5; it must be a whole number."),
        ("outputs=null", "outputs is null; it must be a text."),
        ("dataset.root=null", "dataset.root is null; it must be a text."),
        ("dataset.split=null", "dataset.split is null; it must be a text."),
        ("dataset.channels=2", "dataset.channels is 2; it must be 1 (grey) or 3 (RGB), or null."),
        ("dataset.channels=3", "has images with channels=1; dataset.channels says 3."),
        ("dataset.classes=RV", "dataset.classes is 'RV'; it must be a list of names, or null."),
        ("backbone.network=null", f"backbone.network is null; it must be {TARGET}."),
        ("conv.operator=Conv2d", f"conv.operator is 'Conv2d'; it must be {TARGET}."),
        ("recipe.epochs=true", "recipe.epochs is True; it must be a whole number of at least 1."),
        ("recipe.batch_size=x", "recipe.batch_size is 'x'; it must be a whole number of at least 1."),
        ("recipe.loss=null", f"recipe.loss is null; it must be {TARGET}."),
        ("recipe.optimizer=adam", f"recipe.optimizer is 'adam'; it must be {TARGET}."),
        ("recipe.clip=2", f"recipe.clip is 2; it must be {TARGET}, or null."),
        ("recipe.schedule=null", "Unknown recipe.schedule None. Allowed: constant, cosine_restarts, poly, "),
        ("recipe.augment=null", "Unknown recipe.augment None. Did you mean none? Allowed: none, "),
        ("recipe.resize=null", "Unknown resizing None. Allowed: bilinear, spline."),
        ("trainer.workers=-1", "trainer.workers is -1; it must be a whole number of at least 0."),
        ("trainer.workers=x", "trainer.workers is 'x'; it must be a whole number of at least 0."),
        ("trainer.threads=0", "trainer.threads is 0; it must be a whole number of at least 1, or null."),
        ("trainer.threads=many", "trainer.threads is 'many'; it must be a whole number of at least 1, or null."),
        ("trainer.deterministic=maybe", "trainer.deterministic is 'maybe'; it must be true or false."),
        ("trainer.device=null", "trainer.device is null; it must be auto, cpu, cuda or cuda:N."),
    ],
)
def test_a_value_of_the_wrong_kind_is_refused(configure, tmp_path, override, message):
    with pytest.raises(UserError, match=re.escape(message)):
        run(configure(override))
    assert not list(tmp_path.rglob("last.pt"))
