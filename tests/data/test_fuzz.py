"""A thousand damaged sources: each is refused in a paragraph that names it, or read; nothing else happens."""

import random
import re
import shutil

import numpy as np
import pytest
from PIL import Image
from tiny_acdc import raw_volume, scaled, write_h5
from tiny_sources import SOURCES, disc, rgb, save

from magicseg.data import load_case, load_instances, prepare
from magicseg.errors import UserError

ROUNDS = 100  # damaged files of each kind
CHECKED = ("h5", "npz", "nii.gz", "png")  # formats that carry checksums; in the others a pixel may change unseen


def truncate(data, rng):
    return data[: rng.randrange(len(data))]


def flip_one_bit(data, rng):
    position = rng.randrange(len(data))
    return data[:position] + bytes([data[position] ^ 1 << rng.randrange(8)]) + data[position + 1 :]


def flip_one_bit_of_the_header(data, rng):
    return flip_one_bit(data[:128], rng) + data[128:]


def overwrite(data, rng):
    position, length = rng.randrange(len(data)), rng.randrange(1, 65)
    return data[:position] + rng.randbytes(length) + data[position + length :]


def overwrite_with_zeros(data, rng):
    position, length = rng.randrange(len(data)), rng.randrange(1, 257)
    return data[:position] + bytes(length) + data[position + length :]


def overwrite_header_with_ones(data, rng):
    position = rng.randrange(128)
    return data[:position] + b"\xff" * 4 + data[position + 4 :]


def drop_bytes(data, rng):
    position = rng.randrange(len(data))
    return data[:position] + data[position + rng.randrange(1, 33) :]


def append(data, rng):
    return data + rng.randbytes(rng.randrange(1, 100))


def empty(data, rng):
    return b""


def noise(data, rng):
    return rng.randbytes(len(data))


def text(data, rng):
    return b"<html>404 Not Found</html>"


DAMAGES = [
    *(truncate, flip_one_bit, flip_one_bit_of_the_header, overwrite, overwrite_with_zeros),
    *(overwrite_header_with_ones, drop_bytes, append, empty, noise, text),
]


def snapshot(folder):
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def attempt(dataset, source, root):
    """Prepare; return the manifest, or the error's text after checking that it is fit for a user."""
    try:
        return prepare(dataset, source, root, allow_missing=True, quiet=True, workers=1)
    except UserError as error:
        message = str(error)
        assert 20 < len(message) < 1500
        assert not re.search(
            r"cannot be read from .*: \w+(Error|Exception|Warning): ", message
        )  # foreseen by no source
        return message


def check_prepared(manifest, root):
    assert manifest.verify(root) == []
    for case in manifest.cases:
        image, label = load_case(root, case)
        assert image.shape[:3] == label.shape == case.shape
        assert image.dtype == np.uint8 or (image.min() >= 0 and image.max() <= 1)
        assert label.max() < len(manifest.classes)
        instances = load_instances(root, case)
        assert instances is None or instances.max() == case.instances


@pytest.mark.parametrize("kind", SOURCES)
def test_damaged_files_are_refused_or_read(tmp_path, kind, capfd):
    dataset, write = SOURCES[kind]
    source, root = tmp_path / "source", tmp_path / "prepared"
    write(source)
    good, contents = snapshot(source), contents_of(attempt(dataset, source, root))
    refused = 0
    for number in range(ROUNDS):
        rng = random.Random(f"{kind} {number}")
        path = rng.choice(sorted(good))
        path.write_bytes(DAMAGES[number % len(DAMAGES)](good[path], rng))
        before = snapshot(source)
        shutil.rmtree(root, ignore_errors=True)
        outcome = attempt(dataset, source, root)
        if isinstance(outcome, str):
            refused += 1
            assert path.name in outcome or str(source) in outcome
        else:
            check_prepared(outcome, root)
            assert kind not in CHECKED or contents_of(outcome) == contents
        assert snapshot(source) == before
        assert {path.name for path in tmp_path.iterdir()} <= {"source", "prepared"}
        path.write_bytes(good[path])
    assert refused >= ROUNDS // 4
    assert "Traceback" not in "".join(capfd.readouterr())


def contents_of(manifest):
    return {case.name: (case.content, case.spacing) for case in manifest.cases}


@pytest.mark.parametrize("kind", SOURCES)
def test_a_folder_or_dead_link_in_place_of_a_file_is_refused_or_missing(tmp_path, kind):
    dataset, write = SOURCES[kind]
    source, root = tmp_path / "source", tmp_path / "prepared"
    write(source)
    number = len(contents_of(attempt(dataset, source, root)))
    for path, content in snapshot(source).items():
        path.unlink()
        for make in (path.mkdir, lambda path=path: path.symlink_to("nowhere")):
            make()
            shutil.rmtree(root, ignore_errors=True)
            outcome = attempt(dataset, source, root)
            assert (
                isinstance(outcome, str)
                or path.suffix in (".csv", ".cfg")
                or len(outcome.cases) < number
                or ("4d" in path.name)
            )
            path.unlink() if path.is_symlink() else path.rmdir()
        path.write_bytes(content)


IMAGE, LABEL = raw_volume(0)


def changed(array, value, kind=None):
    array = array.astype(kind or array.dtype)
    array[1, 2, 3] = value
    return array


UNIT = scaled(IMAGE)
H5, NPZ = "data/patient001_frame01.h5", "ACDC/test/case_001_volume_ED.npz"
PAIRS = {
    "NaN": (changed(UNIT, np.nan), LABEL, "NaN or infinite"),
    "infinity": (changed(UNIT, np.inf), LABEL, "NaN or infinite"),
    "out of range": (UNIT * 2, LABEL, "ranges from 0 to 2"),
    "16 bits": (IMAGE, LABEL, "holds int16 values"),
    "text": (UNIT.astype("S8"), LABEL, "holds .S8 values|expected are real numbers"),
    "unknown class": (UNIT, changed(LABEL, 4), "values 4; allowed are 0 to 3"),
    "negative class": (UNIT, changed(LABEL, -1, np.int8), "values -1; allowed"),
    "fractional class": (UNIT, changed(LABEL, 0.5, np.float32), "values 0.5; allowed"),
    "two shapes": (UNIT, LABEL[:, :, :5], r"image has shape \(3, 8, 6\) and the label \(3, 8, 5\)"),
    "no slice": (UNIT[:0], LABEL[:0], "no empty axis|empty"),
    "one slice": (UNIT[0], LABEL[0], "2 axes|shape"),
    "four axes": (UNIT[None], LABEL[None], "shape|axes"),
}


SCALED_NPZ = ("out of range", "16 bits")  # MT-UNet's files are scaled where they are not within [0, 1]


@pytest.mark.parametrize("case", PAIRS)
def test_h5_arrays_that_are_no_case_are_refused(tmp_path, case):
    image, label, message = PAIRS[case]
    SOURCES["h5"][1](tmp_path / "source")
    write_h5(tmp_path / "source" / H5, image, label)
    outcome = attempt("acdc", tmp_path / "source", tmp_path / "prepared")
    assert re.search(f"{H5}.*({message})", outcome)


@pytest.mark.parametrize("case", [case for case in PAIRS if case not in SCALED_NPZ])
def test_npz_arrays_that_are_no_case_are_refused(tmp_path, case):
    image, label, message = PAIRS[case]
    SOURCES["npz"][1](tmp_path / "source")
    np.savez(tmp_path / "source" / NPZ, img=image, label=label)
    outcome = attempt("acdc", tmp_path / "source", tmp_path / "prepared")
    assert re.search(f"{NPZ}.*({message})", outcome)


RGB, DISC = rgb(0), disc()
FILES = {  # kind, file, its content -> what is said; None: it is read
    "NaN in NIfTI": ("nii.gz", "patient001/patient001_frame01.nii.gz", changed(UNIT, np.nan), "1 NaN or infinite|NaN"),
    "constant NIfTI": ("nii.gz", "patient001/patient001_frame01.nii.gz", IMAGE * 0, "every voxel has the value 0"),
    "four axes in NIfTI": ("nii.gz", "patient001/patient001_frame01.nii.gz", IMAGE[..., None, None], "shape"),
    "unknown class": ("nii.gz", "patient001/patient001_frame01_gt.nii.gz", changed(LABEL, 9), "values 9"),
    "NaN in npy": ("npy", "images/case0.npy", changed(UNIT, np.nan), "NaN"),
    "complex npy": ("npy", "images/case0.npy", UNIT * 1j, "complex"),
    "classes of CoNIC": ("npy stacks", "labels.npy", np.full((2, 256, 256, 2), 7, np.uint16), "values 7; allowed"),
    "shape of CoNIC": ("npy stacks", "labels.npy", np.zeros((2, 256, 256), np.uint16), "labels.npy"),
    "patches of CoNIC": ("npy stacks", "images.npy", np.zeros((3, 256, 256, 3), np.uint8), "images.npy"),
    "16-bit image": ("png", "images/case0.png", RGB[..., 0].astype(np.uint16) * 257, "16"),
    "mask of another size": ("png", "masks/case0.png", DISC[:-1], "shape .24, 24, 3. and the label .23, 24.|24 x 23"),
    "mask of one pixel": ("png", "masks/case0.png", DISC[:1, :1], "the label .1, 1.|1 x 1"),
    "coloured mask": ("png", "masks/case0.png", RGB, "red, green and blue differ"),
    "grey levels in a mask": (
        "jpg",
        "ISIC2018_Task1_Training_GroundTruth/ISIC_0000000_segmentation.png",
        disc(90),
        "90",
    ),
    "white mask": ("png", "masks/case0.png", np.full_like(DISC, 255), None),
    "empty mask": ("png", "masks/case0.png", np.zeros_like(DISC), None),
    "grey image": ("png", "images/case0.png", RGB[..., 0], None),
}


@pytest.mark.parametrize("name", FILES)
def test_files_that_are_no_image_or_mask_are_refused(tmp_path, name):
    kind, file, content, message = FILES[name]
    dataset, write = SOURCES[kind]
    write(tmp_path / "source")
    save(tmp_path / "source" / file, content)
    outcome = attempt(dataset, tmp_path / "source", tmp_path / "prepared")
    if message is None:
        check_prepared(outcome, tmp_path / "prepared")
    else:
        assert re.search(message, str(outcome))
        assert file.rsplit("/", 1)[-1] in outcome


def test_one_pixel_is_an_image(tmp_path):
    write = SOURCES["png"][1]
    write(tmp_path / "source")
    save(tmp_path / "source/images/case0.png", RGB[:1, :1])
    save(tmp_path / "source/masks/case0.png", DISC[12:13, 12:13])
    manifest = attempt("folder", tmp_path / "source", tmp_path / "prepared")
    check_prepared(manifest, tmp_path / "prepared")
    assert manifest.cases[0].shape == (1, 1, 1)


def test_inks_are_no_colours(tmp_path):
    SOURCES["jpg"][1](tmp_path / "source")
    path = next((tmp_path / "source").rglob("*.jpg"))
    Image.fromarray(RGB).convert("CMYK").save(path)
    assert re.search(f"{path.name}: .*CMYK", attempt("isic2018", tmp_path / "source", tmp_path / "prepared"))
