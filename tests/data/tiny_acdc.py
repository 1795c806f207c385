"""Small ACDC folders in the three layouts, holding the same made-up patients."""

import h5py
import nibabel
import numpy as np

SHAPE = (3, 8, 6)  # D, H, W
SPACING = (10.0, 1.5, 1.25)  # z, y, x


def raw_volume(seed, shape=SHAPE):
    """Return an int16 image and a label that holds every class; the first slice has none."""
    rng = np.random.default_rng(seed)
    image = rng.integers(-20, 900, shape).astype(np.int16)
    label = rng.integers(0, 4, shape).astype(np.uint8)
    label[0] = 0
    label[1].flat[:4] = range(4)
    return image, label


def scaled(image):
    """Scale a volume to [0, 1] as the makers of the h5 files do."""
    return ((image - image.min()) / (image.max() - image.min())).astype(np.float32)


def write_nifti(path, volume):
    path.parent.mkdir(parents=True, exist_ok=True)
    z, y, x = SPACING
    nibabel.save(nibabel.Nifti1Image(volume.transpose(2, 1, 0), np.diag([x, y, z, 1])), path)


def write_official(folder, number, frames=(1, 12), phases=("ED", "ES"), seed=None):
    """Write one patient with two annotated frames, and the whole cine that no one needs."""
    patient = f"patient{number:03d}"
    for position, frame in enumerate(frames):
        image, label = raw_volume(10 * number + position if seed is None else seed)
        write_nifti(folder / patient / f"{patient}_frame{frame:02d}.nii.gz", image)
        write_nifti(folder / patient / f"{patient}_frame{frame:02d}_gt.nii.gz", label)
    (folder / patient / f"{patient}_4d.nii.gz").write_bytes(b"never read")
    info = "".join(f"{phase}: {frame}\n" for phase, frame in zip(phases, frames, strict=True))
    (folder / patient / "Info.cfg").write_text(f"{info}Group: DCM\nHeight: 184.0\nNbFrame: 30\nWeight: 95.0\n")


def write_h5(path, image, label):
    path.parent.mkdir(parents=True, exist_ok=True)
    with h5py.File(path, "w") as file:
        file.create_dataset("image", data=image, compression="gzip")
        file.create_dataset("label", data=label, compression="gzip")


def write_h5_volumes(folder, number):
    for position in (0, 1):
        image, label = raw_volume(10 * number + position)
        write_h5(folder / f"data/patient{number:03d}_frame{position + 1:02d}.h5", scaled(image), label)


def write_h5_slices(folder, number, first=1, below="data"):
    for position in (0, 1):
        image, label = raw_volume(10 * number + position)
        for index, (image_slice, label_slice) in enumerate(zip(scaled(image), label, strict=True), start=first):
            name = f"patient{number:03d}_frame{position + 1:02d}_slice_{index}.h5"
            write_h5(folder / below / name, image_slice, label_slice)


def write_mtunet(folder, number, whole, scale=scaled):
    """Write one patient as a volume or as slices a phase."""
    for position, phase in enumerate(("ED", "ES")):
        image, label = raw_volume(10 * number + position)
        image = scale(image)
        place = folder / "ACDC" / ("test" if whole else "train")
        place.mkdir(parents=True, exist_ok=True)
        if whole:
            np.savez(place / f"case_{number:03d}_volume_{phase}.npz", img=image, label=label)
        for index in range(0 if whole else len(image)):
            np.savez(place / f"case_{number:03d}_slice{phase}_{index}.npz", img=image[index], label=label[index])
