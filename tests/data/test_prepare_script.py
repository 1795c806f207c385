"""Archives as sources, and the command: python scripts/prepare_data.py."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from command_line import PROJECT, run_script
from tiny_acdc import write_h5_volumes
from tiny_preparing import NAMES, go, pack

from magicseg.data import archives, prepare
from magicseg.errors import UserError


@pytest.mark.parametrize("kind", ["zip", "gztar", "xztar"])
def test_an_archive_is_as_good_as_its_folder(source, root, tmp_path, kind):
    archive = shutil.make_archive(str(tmp_path / "download"), kind, source)
    assert go(Path(archive), root).digest == go(source, tmp_path / "other").digest
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(
        ["source", "prepared", "other", Path(archive).name]
    )


def test_an_archive_is_not_even_unpacked_the_second_time(source, root, tmp_path, monkeypatch, capsys):
    archive = pack(source, tmp_path / "download.tar.gz")
    first = go(archive, root)
    monkeypatch.setattr(archives, "unpack", None)
    assert prepare("acdc", archive, root, allow_missing=True) == first
    assert "nothing to do" in capsys.readouterr().out


def test_an_interrupted_archive_leaves_nothing_and_goes_on(source, root, tmp_path, reads):
    archive = pack(source, tmp_path / "download.tar.gz")
    reads[1].append(NAMES[2])
    with pytest.raises(KeyboardInterrupt):
        go(archive, root)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["download.tar.gz", "prepared", "source"]
    reads[1].clear()
    reads[0].clear()
    go(archive, root)
    assert reads[0] == NAMES[2:]


def test_an_archive_is_removed_when_the_process_is_asked_to_stop(source, root, tmp_path):
    archive = pack(source, tmp_path / "download.tar.gz")
    code = (
        "import runpy, sys, time; import magicseg.data; module = sys.modules['magicseg.data.prepare']\n"
        "module._write = lambda case, **options: (print('writing', flush=True), time.sleep(99))\n"
        "runpy.run_path('scripts/prepare_data.py', run_name='__main__')"
    )
    arguments = ["dataset=acdc", f"source={archive}", f"root={root}", "allow_missing=true"]
    process = subprocess.Popen([sys.executable, "-c", code, *arguments], cwd=PROJECT, stdout=subprocess.PIPE)
    assert process.stdout.readline() == b"writing\n"
    assert (tmp_path / ".prepared.unpacked").is_dir()
    process.terminate()
    process.communicate()
    assert process.returncode == 130
    assert sorted(path.name for path in tmp_path.iterdir()) == ["download.tar.gz", "prepared", "source"]


def test_an_archive_is_prepared_in_the_folder_in_which_one_is(source, tmp_path, monkeypatch):
    archive = pack(source, tmp_path / "download.tar.gz")
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    assert go(archive, Path()).verify(tmp_path / "here") == []


def test_errors_in_an_archive_name_the_archive(source, root, tmp_path):
    path = source / "patient002/patient002_frame01.nii.gz"
    path.write_bytes(path.read_bytes()[:-20])
    archive = pack(source, tmp_path / "download.tar.gz")
    with pytest.raises(UserError, match=f"^{archive}/ACDC/patient002/patient002_frame01.nii.gz is damaged"):
        go(archive, root)


def command(capsys, *arguments):
    """Run the script and return its exit code and what it printed, in one line."""
    code = run_script("prepare_data.py", *arguments)
    printed = capsys.readouterr()
    return code, " ".join((printed.out + printed.err).split())


def test_the_script_prepares_and_verifies(tmp_path, monkeypatch, capsys):
    write_h5_volumes(tmp_path / "source", 1)
    monkeypatch.chdir(tmp_path)
    code, text = command(capsys, "dataset=acdc", "source=source", "allow_missing=true")
    assert (code, "acdc is prepared: 2 cases, 6 slices in data/prepared/acdc" in text) == (0, True)
    code, text = command(capsys, "dataset=acdc", "verify=true")
    assert (code, text) == (0, "acdc: all 2 case files in data/prepared/acdc are as prepared.")


def test_the_script_verifies_to_the_bitter_end(tmp_path, capsys):
    write_h5_volumes(tmp_path / "source", 1)
    manifest = go(tmp_path / "source", tmp_path / "root")
    (tmp_path / "root" / manifest.cases[0].file).unlink()
    code, text = command(capsys, "dataset=acdc", f"root={tmp_path / 'root'}", "verify=true")
    assert code == 1
    assert "patient001_frame01.npz is missing. Prepare the data again" in text


def test_the_script_knows_other_names_and_takes_archives(source, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    archive = pack(source, tmp_path / "download.tar.gz")
    code, text = command(capsys, "dataset=acdc", f"source={archive}", "allow_missing=true", "workers=1")
    assert (code, "acdc is prepared: 4 cases, 12 slices in data/prepared/acdc (from official NIfTI)." in text) == (
        0,
        True,
    )
    code, text = command(capsys, "dataset=isic2017", "source=nowhere")
    assert (code, "nowhere" in text) == (1, True)
    code, text = command(capsys, "dataset=isic2017", "verify=true")
    assert (code, "no prepared data in data/prepared/isic:" in text) == (1, True)


def test_the_script_refuses_a_file_that_is_no_archive(tmp_path, capsys):
    (tmp_path / "file").write_text("text")
    code, text = command(capsys, "dataset=acdc", f"source={tmp_path / 'file'}")
    assert (code, "neither a folder nor a zip or tar archive" in text) == (1, True)
