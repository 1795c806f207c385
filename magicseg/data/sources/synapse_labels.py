"""The orders in which Synapse's labels are numbered, and how to tell them apart.

The numbers alone do not tell: 5 is the liver in one order and the pancreas in another. What tells is anatomy. The liver
is by far the largest organ, and lies on the side of the right kidney as the spleen lies on that of the left.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from magicseg.data.case import Label
from magicseg.errors import UserError

ORGANS = ("aorta", "gallbladder", "left_kidney", "right_kidney", "liver", "pancreas", "spleen", "stomach")
# Number in the file -> our label, which is TransUNet's. All others (esophagus, veins, adrenal glands) are background.
ORDERS: dict[str, dict[int, int]] = {
    "BTCV": {8: 1, 4: 2, 3: 3, 2: 4, 6: 5, 11: 6, 1: 7, 7: 8},
    "TransUNet": {number: number for number in range(1, 9)},
    "CASCADE": {8: 1, 4: 2, 3: 3, 2: 4, 6: 5, 5: 6, 1: 7, 7: 8},
}
HIGHEST = 13
_MARGIN = 1.5  # how many times as large as the next organ the liver must be over several cases; it is 3 to 5
_GRID = 128  # rows and columns on which positions and sizes are measured

Centre = NDArray[np.float64]  # row, column
Centres = dict[int, Centre]  # by the number of the organ


def recognise(labels: Iterable[NDArray[Any]], where: object) -> str:
    """Return the name of the order (a key of ``ORDERS``) that ``labels``, volumes [D, H, W] of several cases, follow.

    Raises:
        UserError: they follow none, or too few organs are seen to be sure; the text names ``where``.
    """
    counts, centres = np.zeros(HIGHEST + 1, np.int64), list[Centres]()
    for label in labels:
        of_case, places = _measure(label, where)
        counts += of_case
        centres.append(places)
    candidates = ["BTCV"] if counts[9:].any() else ["TransUNet", "CASCADE"]
    for order in candidates:
        if _liver_is_largest(counts, order) and _sides_are_right(centres, order):
            return order
    sizes = ", ".join(f"{number}: {share:.1%}" for number, share in enumerate(counts[1:] / max(1, counts[1:].sum()), 1))
    raise UserError(
        f"{where}: the order of the labels is not known for certain, so they are refused. Expected is a liver that is "
        f"{_MARGIN:g} times as large as any other organ and nearer to the right kidney than to the left, the spleen "
        "nearer to the left. It is number 6 in BTCV's 13 organs and in CASCADE's order of 8, 5 in TransUNet's order. "
        f"Found are these shares of all organ voxels: {sizes}."
    )


def to_organs(label: NDArray[Any], order: str, where: object) -> Label:
    """Return the volume ``label``, [D, H, W], with our numbers of the eight organs, everything else 0.

    Raises:
        UserError: a value is none of the order's, or the organs show that this case follows another order.
    """
    numbers = whole_numbers(label, where)
    counts = np.bincount(numbers.ravel(), minlength=HIGHEST + 1)
    counts[0] = 0
    if _contradict(counts, order):
        ends = f"reaches {len(ORGANS) + 1} to {HIGHEST} in every case" if order == "BTCV" else f"ends at {len(ORGANS)}"
        raise UserError(
            f"{where}: the labels reach {numbers.max()} and the largest organ is {counts.argmax()}. The other cases "
            f"follow the order of {order}, which {ends} and whose liver is {_number(order, 'liver')}. Two orders must "
            "not be mixed."
        )
    table = np.zeros(HIGHEST + 1, np.uint8)
    table[list(ORDERS[order])] = list(ORDERS[order].values())
    return table[numbers]


def whole_numbers(label: NDArray[Any], where: object) -> Label:
    """Return ``label`` as uint8; raise UserError unless it holds only whole numbers from 0 to 13."""
    with np.errstate(invalid="ignore"):
        numbers = label.astype(np.uint8)
    if not np.array_equal(numbers, label) or numbers.max(initial=0) > HIGHEST:
        wrong = np.unique(label[(numbers != label) | (numbers > HIGHEST)])[:8]
        found = ", ".join(f"{value:g}" for value in wrong)
        raise UserError(f"{where}: the label holds the values {found}; allowed are 0 to {HIGHEST}.")
    return numbers


def _contradict(counts: NDArray[np.int64], order: str) -> bool:
    """Return whether the voxels of each organ in a case show that it does not follow ``order``."""
    beyond_eight = bool(counts[len(ORGANS) + 1 :].any())  # in BTCV always: no scan of the abdomen lacks the vena cava
    livers = {_number(other, "liver") for other in ORDERS} - {_number(order, "liver")}
    return beyond_eight != (order == "BTCV") or int(counts.argmax()) in livers


def _measure(label: NDArray[Any], where: object) -> tuple[NDArray[np.int64], Centres]:
    """Return the voxels of each number, and the centre of each within the slice plane, in rows and columns."""
    step = max(1, max(label.shape[1:]) // _GRID)
    numbers = whole_numbers(label[:, ::step, ::step], where)
    counts = np.bincount(numbers.ravel(), minlength=HIGHEST + 1)
    present = [number for number in range(1, HIGHEST + 1) if counts[number]]
    return counts, {number: np.argwhere(numbers == number).mean(axis=0)[1:] for number in present}


def _liver_is_largest(counts: NDArray[np.int64], order: str) -> bool:
    liver = _number(order, "liver")
    others = [size for number, size in enumerate(counts) if number not in (0, liver)]
    return bool(counts[liver] > 0 and counts[liver] >= _MARGIN * max(others))


def _sides_are_right(centres: list[Centres], order: str) -> bool:
    """Return whether liver and spleen lie on the right sides in most of the cases that show them and both kidneys."""
    wanted = [_number(order, organ) for organ in ("liver", "spleen", "right_kidney", "left_kidney")]
    votes = [_on_own_sides(*(places[number] for number in wanted)) for places in centres if set(wanted) <= set(places)]
    return bool(votes) and sum(votes) > len(votes) / 2


def _on_own_sides(liver: Centre, spleen: Centre, right: Centre, left: Centre) -> bool:
    def nearer(organ: Centre, near: Centre, far: Centre) -> bool:
        return bool(np.linalg.norm(organ - near) < np.linalg.norm(organ - far))

    return nearer(liver, right, left) and nearer(spleen, left, right)


def _number(order: str, organ: str) -> int:
    """Return the number of ``organ`` in ``order``."""
    return next(number for number, ours in ORDERS[order].items() if ours == ORGANS.index(organ) + 1)
