"""Turn a data set as its source gives it into the prepared form: atomic, restartable, with a report."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict
from functools import partial
from pathlib import Path

from tqdm import tqdm

from magicseg.data import stamp
from magicseg.data.archives import as_folder
from magicseg.data.case import Case, write_case
from magicseg.data.manifest import FILE, Manifest
from magicseg.data.place import PROGRESS, alone, beside, check_apart, check_free
from magicseg.data.report import REPORTS, totals, write_reports
from magicseg.data.sources import FORMATS
from magicseg.data.sources.source import Source, SourceCase, Volume
from magicseg.data.splits import slices_per_subject
from magicseg.data.workers import work
from magicseg.errors import UserError, choose, shortened
from magicseg.files import sha256, write_text


def read_prepared(dataset: str, root: Path) -> Manifest:
    """Return the manifest of ``dataset`` in ``root``.

    Raises:
        UserError: nothing is prepared there (the text says where the data comes from and which command prepares it),
            or it is another data set.
    """
    manifest = Manifest.read(root, FORMATS[choose("data set", dataset, FORMATS)].advice)
    if manifest.dataset != dataset:
        raise UserError(
            f"{root} holds the prepared data set {manifest.dataset}, not {dataset}. Give {dataset} another folder."
        )
    return manifest


def verify_prepared(dataset: str, root: Path) -> Manifest:
    """Return the manifest of ``dataset`` in ``root`` after comparing every byte of the cases with it.

    Raises:
        UserError: as ``read_prepared``; or files are missing, changed or not in the manifest: all are named.
    """
    manifest = read_prepared(dataset, root)
    if problems := manifest.verify(root):
        stamp.remove(root)  # a disk's errors leave sizes and times as they were
        raise UserError(f"{' '.join(problems)} Prepare the data again: only these cases will be written.")
    return manifest


def prepare(
    dataset: str,
    source: Path | None,
    root: Path,
    allow_missing: bool = False,
    quiet: bool = False,
    workers: int | None = None,
) -> Manifest:
    """Write the prepared form of ``dataset`` to ``root`` and return its manifest.

    ``source`` is a folder, or a zip or tar archive. Case files that are there and whose source and content have not
    changed are kept, so that an interrupted preparation goes on and a second one does nothing. ``quiet`` leaves out
    progress bar and messages; ``workers`` is the number of processes (left out: as many as pay).

    Raises:
        UserError: unknown data set; source not found, damaged or not fit; cases missing and ``allow_missing`` false;
            source and root in one another, or files in root that were not prepared.
    """
    choose("data set", dataset, FORMATS)
    check_apart(source, root)
    state = stamp.state_of(source)
    already = stamp.fits(root, state)
    if already:
        manifest = read_prepared(dataset, root)
    if not already or (manifest.missing and not allow_missing):
        with alone(root, quiet):
            check_free(root)
            with as_folder(source, beside(root, "unpacked"), quiet) as folder:
                found = _find(dataset, folder, source, allow_missing)
                manifest, already = _prepare(dataset, found, root, quiet, workers)
            stamp.write(root, state)
    if not quiet:
        print(_summary(manifest, root, already))
    return manifest


def _find(dataset: str, folder: Path | None, source: Path | None, allow_missing: bool) -> Source:
    found = FORMATS[dataset].find(folder)
    if not found.cases or (found.missing and not allow_missing):
        raise UserError(_describe_missing(dataset, source, found))
    names = Counter(case.name.lower() for case in found.cases)
    if twice := sorted(name for name, count in names.items() if count > 1):
        raise UserError(f"{source} ({found.layout}) gives several cases the same name: {shortened(twice)}.")
    return found


def _prepare(dataset: str, found: Source, root: Path, quiet: bool, workers: int | None) -> tuple[Manifest, bool]:
    """Return the manifest and whether there was nothing to do."""
    classes = found.classes or FORMATS[dataset].classes
    known = _finished(dataset, root)
    done = {case.name: known[case.name] for case in found.cases if _is_current(case, known.get(case.name), root)}
    if not len(done) == len(found.cases) == len(known):
        _convert(found, done, len(classes), root, quiet, workers)
    cases = tuple(done[case.name] for case in found.cases)
    notes = (*found.notes, *_count_notes(dataset, cases))
    manifest = Manifest(dataset, classes, found.layout, cases, found.missing, notes)
    already = all((root / name).is_file() for name in (FILE, *REPORTS)) and Manifest.read(root) == manifest
    if not already:
        _finish(manifest, root)
    return manifest, already


def _finished(dataset: str, root: Path) -> dict[str, Case]:
    """Return the entries of the manifest, or of a preparation that was interrupted."""
    if (root / FILE).is_file():
        return {case.name: case for case in read_prepared(dataset, root).cases}
    lines = (root / PROGRESS).read_text().splitlines() if (root / PROGRESS).is_file() else []
    return {case.name: case for line in lines for case in _parse(line)}


def _parse(line: str) -> Iterator[Case]:
    try:
        yield Case.from_json(json.loads(line))
    except (ValueError, TypeError, AttributeError):
        return  # the process was killed while it wrote this line: the case is prepared again


def _is_current(case: SourceCase, known: Case | None, root: Path) -> bool:
    if known is None or known.source.get("fingerprint") != case.fingerprint():
        return False
    path = root / known.file
    return path.is_file() and sha256(path) == known.sha256


def _convert(
    found: Source, done: dict[str, Case], num_classes: int, root: Path, quiet: bool, workers: int | None
) -> None:
    """Write the cases that are not in ``done`` and enter them there."""
    write_text(root / PROGRESS, "".join(_line(case) for case in done.values()))
    (root / FILE).unlink(missing_ok=True)  # a folder with a manifest is complete
    todo = [case for case in found.cases if case.name not in done]
    write = partial(_write, layout=found.layout, num_classes=num_classes, root=root)
    with (root / PROGRESS).open("a") as progress:
        finished = work(write, todo, workers)
        description, total = f"Preparing {root} from {found.layout}", len(found.cases)
        for case in tqdm(finished, description, total, unit="case", initial=len(done), disable=quiet or None):
            done[case.name] = case
            progress.write(_line(case))
            progress.flush()


def _write(case: SourceCase, layout: str, num_classes: int, root: Path) -> Case:
    volume, fingerprint = _read(case)
    files = [path.name for path in case.files]
    source = {"layout": layout, "files": files, "fingerprint": fingerprint, **case.facts}
    if volume.instances is not None and volume.instances.shape == volume.label.shape:
        source["unmatched_pixels"] = int(((volume.instances != 0) != (volume.label != 0)).sum())
    return write_case(
        root, case.name, case.subject, volume.image, volume.label, volume.spacing, num_classes, source, volume.instances
    )


def _read(case: SourceCase) -> tuple[Volume, str]:
    try:
        return case.read(), case.fingerprint()
    except UserError:
        raise
    except Exception as error:  # the libraries that decode foreign files raise every kind
        files = ", ".join(map(str, case.files[:2]))
        raise UserError(f"{case.name} cannot be read from {files}: {type(error).__name__}: {error}") from error


def _line(case: Case) -> str:
    return json.dumps(asdict(case)) + "\n"


def _finish(manifest: Manifest, root: Path) -> None:
    """Remove what no case names, then write reports and manifest."""
    known = {root / case.file for case in manifest.cases}
    for path in (root / "cases").iterdir():
        if path not in known and ".npz" in path.name:  # of an earlier source, or left by a killed process
            path.unlink()
    write_reports(manifest, root)
    manifest.write(root)
    (root / PROGRESS).unlink(missing_ok=True)


def _count_notes(dataset: str, cases: tuple[Case, ...]) -> list[str]:
    """Compare the slices of each subject that is there with the published count."""
    notes = []
    for subject, expected in slices_per_subject(dataset).items():
        depths = [case.shape[0] for case in cases if case.subject == subject]
        if depths and sum(depths) != expected:
            notes.append(f"{subject} has {sum(depths)} slices; the published lists have {expected}.")
    return notes


def _describe_missing(dataset: str, source: Path | None, found: Source) -> str:
    reasons: dict[str, list[str]] = {}
    for name, reason in found.missing.items():
        reasons.setdefault(reason, []).append(name)
    listed = "; ".join(f"{reason}: {shortened(names)}" for reason, names in reasons.items())
    return (
        f"{source} ({found.layout}) lacks {len(found.missing)} of the {len(found.missing) + len(found.cases)} cases of "
        f"{dataset}: {listed}. Complete the folder, or set allow_missing=true to prepare the others."
    )


def _summary(manifest: Manifest, root: Path, already: bool) -> str:
    slices = sum(case.shape[0] for case in manifest.cases)
    state = "was already prepared from this source; nothing to do" if already else "is prepared"
    lines = [
        f"{manifest.dataset} {state}: {len(manifest.cases)} cases, {slices} slices in {root} (from {manifest.layout}).",
        f"Classes: {totals(manifest)['Classes']}.",
    ]
    if manifest.missing:
        lines.append(f"{len(manifest.missing)} cases are missing; {root / 'report.txt'} names them.")
    return "\n".join([*lines, *manifest.notes])
