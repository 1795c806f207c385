"""Small folders of every kind of file that a data set may come in, all of them good."""

import csv

import nibabel
import numpy as np
from PIL import Image
from tiny_acdc import raw_volume, write_h5_volumes, write_mtunet, write_official

SIDE = 24


def rgb(seed):
    return np.random.default_rng(seed).integers(0, 256, (SIDE, SIDE, 3)).astype(np.uint8)


def disc(value=255):
    y, x = np.indices((SIDE, SIDE)) - SIDE // 2
    return (np.hypot(y, x) < 8).astype(np.uint8) * np.uint8(value)


def save(path, array):
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == ".npy":
        np.save(path, array)
    elif path.name.endswith((".nii", ".nii.gz")):
        nibabel.save(nibabel.Nifti1Image(array.T, np.diag([1.5, 1.25, 10, 1])), path)
    else:
        Image.fromarray(array).save(path)


def write_pairs(folder, suffix, mask_suffix=None):
    for number in range(2):
        save(folder / f"images/case{number}{suffix}", rgb(number))
        save(folder / f"masks/case{number}{mask_suffix or suffix}", disc())


def write_volumes(folder, suffix):
    for number in range(2):
        image, label = raw_volume(number)
        save(folder / f"images/case{number}{suffix}", image)
        save(folder / f"masks/case{number}{suffix}", label)


def write_conic(folder):
    instances = np.zeros((2, 256, 256), np.uint16)
    instances[0, 100:120, 100:120], instances[0, 150:160, 60:90] = 3, 17
    classes = np.where(instances == 3, 1, np.where(instances == 17, 6, 0)).astype(np.uint16)
    images = np.random.default_rng(0).integers(0, 256, (2, 256, 256, 3)).astype(np.uint8)
    save(folder / "images.npy", images)
    save(folder / "labels.npy", np.stack([instances, classes], axis=-1))
    kinds = ["neutrophil", "epithelial", "lymphocyte", "plasma", "eosinophil", "connective"]
    for name, rows in (
        ("counts", [kinds, [1, 0, 0, 0, 0, 1], [0] * 6]),
        ("patch_info", [["patch_info"], ["a-1"], ["a-2"]]),
    ):
        with (folder / f"{name}.csv").open("w", newline="") as file:
            csv.writer(file).writerows(rows)


def write_isic(folder):
    for number in range(2):
        save(folder / f"ISIC2018_Task1-2_Training_Input/ISIC_000000{number}.jpg", rgb(number))
        save(folder / f"ISIC2018_Task1_Training_GroundTruth/ISIC_000000{number}_segmentation.png", disc())


def write_glas(folder):
    for name in ("train_1", "testA_1"):
        save(folder / f"{name}.bmp", rgb(0))
        save(folder / f"{name}_anno.bmp", disc(5))


SOURCES = {  # kind -> (data set, writer)
    "h5": ("acdc", lambda folder: write_h5_volumes(folder, 1)),
    "npz": ("acdc", lambda folder: write_mtunet(folder, 1, whole=True)),
    "nii.gz": ("acdc", lambda folder: write_official(folder, 1)),
    "nii": ("folder", lambda folder: write_volumes(folder, ".nii")),
    "npy stacks": ("conic", write_conic),
    "npy": ("folder", lambda folder: write_volumes(folder, ".npy")),
    "png": ("folder", lambda folder: write_pairs(folder, ".png")),
    "jpg": ("isic2018", write_isic),
    "tif": ("folder", lambda folder: write_pairs(folder, ".tif")),
    "bmp": ("glas", write_glas),
}
