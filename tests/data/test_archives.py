"""Archives: every kind unpacks to the same files, and none writes outside its folder or without measure."""

import gzip
import io
import os
import random
import stat
import tarfile
import warnings
import zipfile
from pathlib import Path

import pytest

from magicseg.data import archives
from magicseg.data.archives import as_folder, unpack
from magicseg.errors import UserError

FILES = {
    "set one/a.txt": b"alpha" * 50,
    "set one/deep/er/b.bin": bytes(range(256)) * 20,
    "empty": b"",
    "näme (1)!.png": b"x",
}
TARS = {"a.tar": "w", "a.tar.gz": "w:gz", "a.tar.bz2": "w:bz2", "a.tar.xz": "w:xz"}


def tar_header(name, kind=tarfile.REGTYPE, size=0, link=""):
    header = tarfile.TarInfo(name)
    header.type, header.size, header.linkname = kind, size, link
    return header


def write_tar(path, files, mode="w"):
    with tarfile.open(path, mode) as archive:
        for name, content in files.items():
            archive.addfile(tar_header(name, size=len(content)), io.BytesIO(content))
    return path


def write_zip(path, files):
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about names that come twice
        for name, content in files.items() if isinstance(files, dict) else files:
            archive.writestr(name, content)
    return path


def content(folder):
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def written(tmp_path):
    """Return what lies beside the archive and the folder for it."""
    return sorted(path.name for path in tmp_path.iterdir() if path.name not in ("out", "archive"))


@pytest.mark.parametrize("name", [*TARS, "a.zip", "misnamed"])
def test_every_kind_of_archive_unpacks_to_the_same_files(tmp_path, name):
    path = tmp_path / name
    write_tar(path, FILES, TARS[name]) if name in TARS else write_zip(path, FILES)
    unpack(path, tmp_path / "out", quiet=True)
    assert content(tmp_path / "out") == FILES


def test_folders_and_additions_of_macos(tmp_path):
    files = {"data/": b"", "data/a.png": b"a", "__MACOSX/data/._a.png": b"m", "data/._a.png": b"m"}
    unpack(write_zip(tmp_path / "a.zip", files), tmp_path / "out", quiet=True)
    assert content(tmp_path / "out") == {"data/a.png": b"a"}


def test_backslashes_separate_folders(tmp_path):
    archive = write_tar(tmp_path / "a.tar", {"train\\images\\a.png": b"a"})
    unpack(archive, tmp_path / "out", quiet=True)
    assert content(tmp_path / "out") == {"train/images/a.png": b"a"}


EVIL = ["../evil", "a/../../evil", "/tmp/magicseg-evil", "..\\evil", "C:\\evil", "C:evil", "a/..", "\\\\host\\evil"]


@pytest.mark.parametrize("name", EVIL)
@pytest.mark.parametrize("write", [write_tar, write_zip])
def test_names_that_lead_out_are_refused(tmp_path, write, name):
    archive = write(tmp_path / "archive", {"fine": b"1", name: b"2"})
    with pytest.raises(UserError, match="leads out of the archive"):
        unpack(archive, tmp_path / "out", quiet=True)
    assert written(tmp_path) == []
    assert not os.path.exists("/tmp/magicseg-evil")


@pytest.mark.parametrize("name", ["a\nb", "a\x1b[31m", "bad\udcff", "a\x7f"])
def test_names_that_cannot_be_shown_are_refused(tmp_path, name):
    archive = write_tar(tmp_path / "archive", {name: b"1"})
    with pytest.raises(UserError, match="characters that cannot be printed"):
        unpack(archive, tmp_path / "out", quiet=True)


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.FIFOTYPE, tarfile.CHRTYPE, tarfile.BLKTYPE])
def test_links_and_devices_in_tar_are_refused(tmp_path, kind):
    with tarfile.open(tmp_path / "archive", "w") as archive:
        archive.addfile(tar_header("trap", kind, link="/etc"))
        archive.addfile(tar_header("trap/passwd", size=1), io.BytesIO(b"x"))
    with pytest.raises(UserError, match="'trap' is a link, device or the like"):
        unpack(tmp_path / "archive", tmp_path / "out", quiet=True)
    assert content(tmp_path / "out") == {}


def test_links_in_zip_are_refused(tmp_path):
    info = zipfile.ZipInfo("trap")
    info.external_attr = (stat.S_IFLNK | 0o777) << 16
    with zipfile.ZipFile(tmp_path / "archive", "w") as archive:
        archive.writestr(info, "/etc")
    with pytest.raises(UserError, match="'trap' is a link"):
        unpack(tmp_path / "archive", tmp_path / "out", quiet=True)


def test_a_name_that_comes_twice_is_refused(tmp_path):
    archive = write_zip(tmp_path / "archive", [("a", b"1"), ("a", b"2")])
    with pytest.raises(UserError, match="holds 'a' twice"):
        unpack(archive, tmp_path / "out", quiet=True)


def test_a_file_that_is_also_a_folder_is_refused(tmp_path):
    archive = write_zip(tmp_path / "archive", [("a", b"1"), ("a/b", b"2")])
    with pytest.raises(UserError, match="cannot be unpacked"):
        unpack(archive, tmp_path / "out", quiet=True)


@pytest.mark.parametrize("name", ["a.tar.gz", "a.tar.xz", "a.zip"])
def test_an_archive_made_to_fill_the_disk_is_stopped(tmp_path, monkeypatch, name):
    monkeypatch.setattr(archives, "ALWAYS_ALLOWED", 1000)
    zeros = {"zeros": bytes(4 * 2**20)}
    path = write_tar(tmp_path / name, zeros, TARS[name]) if name in TARS else write_zip(tmp_path / name, zeros)
    with pytest.raises(UserError, match="over 200 times its own size"):
        unpack(path, tmp_path / "out", quiet=True)
    assert (tmp_path / "out/zeros").stat().st_size < 4 * 2**20


def test_too_many_files_are_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(archives, "MOST_FILES", 3)
    archive = write_tar(tmp_path / "archive", {str(number): b"" for number in range(4)})
    with pytest.raises(UserError, match="more than 3 files"):
        unpack(archive, tmp_path / "out", quiet=True)


def test_a_protected_zip_says_so(tmp_path):
    archive = write_zip(tmp_path / "archive", {"a": b"1"})
    data = bytearray(archive.read_bytes())
    data[6] |= 1  # the flag of encryption, in the file's header and in the directory
    data[data.index(b"PK\x01\x02") + 8] |= 1
    archive.write_bytes(data)
    with pytest.raises(UserError, match=r"protected.*password required"):
        unpack(archive, tmp_path / "out", quiet=True)


@pytest.mark.parametrize("text", [b"", b"PK", b"no archive at all" * 99, gzip.compress(b"text")])
def test_other_files_are_no_archives(tmp_path, text):
    (tmp_path / "archive").write_bytes(text)
    with pytest.raises(UserError, match=r"neither a folder nor a zip or tar archive|cannot be unpacked"):
        unpack(tmp_path / "archive", tmp_path / "out", quiet=True)


@pytest.mark.parametrize("name", [*TARS, "a.zip"])
def test_a_cut_archive_never_loses_files_silently(tmp_path, name):
    files = {f"{number}.bin": random.Random(number).randbytes(700) for number in range(8)}
    path = write_tar(tmp_path / name, files, TARS[name]) if name in TARS else write_zip(tmp_path / name, files)
    good = path.read_bytes()
    for position, length in enumerate(range(0, len(good), 211)):
        path.write_bytes(good[:length])
        folder = tmp_path / "out" / str(position)
        try:
            unpack(path, folder, quiet=True)
        except UserError:
            continue
        assert name == "a.tar"  # of which only padding was cut
        assert content(folder) == files


@pytest.mark.parametrize("name", [*TARS, "a.zip"])
def test_a_flipped_byte_is_an_error_or_changes_one_file(tmp_path, name):
    """Plain tar has no checksum of contents: there, as in a folder, only the files themselves can tell."""
    files = {f"{number}.bin": random.Random(number).randbytes(700) for number in range(8)}
    path = write_tar(tmp_path / name, files, TARS[name]) if name in TARS else write_zip(tmp_path / name, files)
    good, rng = path.read_bytes(), random.Random(0)
    for number in range(60):
        bad = bytearray(good)
        bad[rng.randrange(len(bad))] ^= 1 << rng.randrange(8)
        path.write_bytes(bad)
        folder = tmp_path / "out" / str(number)
        try:
            unpack(path, folder, quiet=True)
        except UserError:
            continue
        found = content(folder)
        assert len(found) == len(files)
        assert sum(found.get(key) != value for key, value in files.items()) <= (name in ("a.tar", "a.zip"))
        if name == "a.zip":  # a name may differ, never a content
            assert sorted(found.values()) == sorted(files.values())


def test_a_folder_is_given_as_it_is(tmp_path):
    with as_folder(tmp_path, tmp_path / "out") as folder:
        assert folder == tmp_path
    with as_folder(None, tmp_path / "out") as folder:
        assert folder is None
    assert not (tmp_path / "out").exists()


def test_the_unpacked_folder_is_removed_and_leftovers_too(tmp_path):
    archive, place = write_zip(tmp_path / "archive", FILES), tmp_path / "out"
    place.mkdir()
    (place / "leftover").touch()
    with as_folder(archive, place, quiet=True) as folder:
        assert content(folder) == FILES
    assert not place.exists()


@pytest.mark.parametrize("failure", [KeyboardInterrupt, RuntimeError])
def test_the_unpacked_folder_is_removed_after_a_failure(tmp_path, failure):
    archive, place = write_zip(tmp_path / "archive", FILES), tmp_path / "out"
    with pytest.raises(failure), as_folder(archive, place, quiet=True):
        raise failure
    assert not place.exists()


def test_errors_name_the_archive_and_not_the_folder_that_is_gone(tmp_path):
    archive, place = write_zip(tmp_path / "archive", FILES), tmp_path / "out"
    with pytest.raises(UserError, match=f"^{tmp_path}/archive/a.png is odd$"), as_folder(archive, place, quiet=True):
        raise UserError(f"{place / 'a.png'} is odd")


def test_nothing_is_executable_or_linked(tmp_path):
    with tarfile.open(tmp_path / "archive", "w") as archive:
        header = tar_header("script.sh")
        header.mode = 0o6777
        archive.addfile(header)
    unpack(tmp_path / "archive", tmp_path / "out", quiet=True)
    assert not Path(tmp_path / "out/script.sh").stat().st_mode & 0o6111
