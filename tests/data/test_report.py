"""The integrity report: every oddity is named, and the page shows the cases without any other file."""

import base64
import io
import re
from dataclasses import replace
from html.parser import HTMLParser

import numpy as np
import pytest
from PIL import Image

from magicseg.data import report_page
from magicseg.data.case import write_case
from magicseg.data.findings import Finding, findings
from magicseg.data.manifest import Manifest
from magicseg.data.report import write_reports
from magicseg.data.report_page import MOST_ODD, MOST_PICTURES, _evenly
from magicseg.data.thumbnails import COLOURS, SIDE, thumbnail

CLASSES = ("background", "gland", "nucleus")


@pytest.fixture
def make(tmp_path):
    """Return a function that writes a case with both classes, changed as its arguments say."""

    def case(name, image=None, label=None, spacing=None, instances=None, source=None, shape=(1, 12, 16)):
        if image is None:
            image = np.random.default_rng(sum(name.encode())).integers(0, 256, (*shape, 3)).astype(np.uint8)
        if label is None:
            label = np.zeros(shape, np.uint8)
            label[..., 2:6, 2:6], label[..., 8:, 10:14] = 1, 2
        return write_case(tmp_path, name, name, image, label, spacing, 3, source or {}, instances)

    return case


def manifest_of(*cases, missing=None, notes=()):
    return Manifest("glas", CLASSES, "made up", cases, missing or {}, notes)


def test_an_ordinary_data_set_has_no_findings(make):
    assert findings(manifest_of(make("a"), make("b"), make("c"))) == []


def test_notes_and_missing_cases_are_findings(make):
    manifest = manifest_of(make("a"), make("b"), missing={"c": "lost", "d": "lost", "e": "no mask"}, notes=("A note.",))
    assert findings(manifest) == [
        Finding("A note."),
        Finding("missing (lost)", ("c", "d")),
        Finding("missing (no mask)", ("e",)),
    ]


def blank(value=0, shape=(1, 12, 16)):
    return np.full(shape, value, np.uint8)


ONLY_GLAND = np.where(np.arange(16) < 4, 1, 0).astype(np.uint8) * np.ones((1, 12, 1), np.uint8)
ODDITIES = {
    "no label (background only)": {"label": blank()},
    "no voxel of nucleus": {"label": ONLY_GLAND},
    "no background": {"label": np.where(ONLY_GLAND, 1, 2)},
    "the image is constant (7)": {"image": blank(7)},
    "an odd size, 1 x 12 x 80 (median 1 x 12 x 16)": {"shape": (1, 12, 80)},
    "an odd spacing, 1 x 1 x 3 mm (median 1 x 1 x 1 mm)": {"spacing": (1.0, 1.0, 3.0)},
    "pixels with an instance but no class, or a class but no instance": {"source": {"unmatched_pixels": 3}},
}


@pytest.mark.parametrize("text", ODDITIES)
def test_an_odd_case_is_named(make, text):
    ordinary = [make(name, spacing=(1.0, 1.0, 1.0)) for name in "abc"]
    odd = make("odd", **ODDITIES[text])
    found = findings(manifest_of(*ordinary, odd))
    assert Finding(text, ("odd",)) in found
    assert len([finding for finding in found if finding.cases]) == 1


def test_equal_cases_are_named(make):
    first = make("a")
    manifest = manifest_of(first, make("b"), replace(first, name="c"), replace(first, name="d"))
    assert findings(manifest) == [Finding("the same image and label as a", ("c", "d"))]


def test_a_class_that_few_cases_hold_is_no_finding_of_each_case(make):
    cases = [make(name, label=ONLY_GLAND) for name in "abcd"]
    assert findings(manifest_of(*cases)) == [Finding("nucleus occurs in no case.")]
    assert findings(manifest_of(*cases, make("e"))) == [Finding("nucleus occurs in one case only, e.")]


def test_unlabelled_slices_spacing_and_colours(make):
    shape = (3, 12, 16)
    grey = np.random.default_rng(0).integers(0, 256, shape).astype(np.uint8)
    label = np.ones(shape, np.uint8)
    label[0], label[1, 0] = 0, 2
    manifest = manifest_of(make("a", shape=shape), make("b", image=grey, label=label))
    assert [finding.text for finding in findings(manifest)] == [
        "1 slices in 1 cases have no label (background only), though others of the case do.",
        "2 cases come without voxel spacing: distances can only be given in voxels.",
        "1 cases are RGB, 1 are grey.",
    ]


class Page(HTMLParser):
    """Collects what a page holds and checks that every element is closed."""

    EMPTY = ("meta", "img", "br")

    def __init__(self, text):
        super().__init__()
        self.open, self.tags, self.attributes, self.text = [], [], [], []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += [(tag, *pair) for pair in attrs]
        if tag not in self.EMPTY:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text.append(data)


@pytest.fixture
def reports(tmp_path, make):
    label = np.zeros((1, 12, 16), np.uint8)
    label[0, 3:9, 3:9] = 1
    instances = np.where(label, 5, 0)
    cases = [make(f"plain{number}", instances=instances) for number in range(3)]
    cases.append(make("odd_one", label=blank(), instances=blank()))
    cases.append(make("spaced", spacing=(10.0, 1.5, 1.25)))
    manifest = manifest_of(*cases, missing={"gone<1>": "a & b"}, notes=("Note <script>alert(1)</script>",))
    write_reports(manifest, tmp_path)
    return manifest, (tmp_path / "report.txt").read_text(), (tmp_path / "report.html").read_text()


def test_the_text_tells_each_case(reports):
    manifest, text, _ = reports
    assert "Cases: 5 of 5 subjects\nSlices: 5\nImages: RGB\nSizes (H x W): 12 x 16 (5)\nInstances: 3\n" in text
    assert "- no label (background only): odd_one\n" in text
    assert "- missing (a & b): gone<1>\n" in text
    rows = {
        line.split()[0]: re.split(r"\s{2,}", line) for line in text.splitlines() if line[:4] in ("plai", "odd_", "spac")
    }
    assert list(rows) == [case.name for case in manifest.cases]
    intensity = "{:.4g} .. {:.4g}".format(*manifest.cases[3].intensity)
    assert rows["odd_one"] == ["odd_one", "1 x 12 x 16", "unknown", intensity, "0", "192 0 0"]
    assert rows["spaced"][2] == "10, 1.5, 1.25"
    assert rows["spaced"][4] == "-"


def test_the_page_is_whole_and_alone(reports):
    _, _, html = reports
    page = Page(html)
    assert "script" not in page.tags
    sources = [value for _, name, value in page.attributes if name in ("src", "href")]
    assert all(value.startswith("data:image/jpeg;base64,") for value in sources)
    assert "url(" not in html
    assert "Note <script>alert(1)</script>" in page.text  # as text
    assert page.tags.count("tr") == 6


def test_the_page_shows_cases_with_findings_first(reports):
    _, _, html = reports
    names = [value for tag, name, value in Page(html).attributes if (tag, name) == ("img", "alt")]
    assert names == ["odd_one", "plain0", "plain1", "plain2", "spaced"]
    assert html.index("Cases with findings (1)") < html.index('alt="odd_one"') < html.index("evenly chosen (4)")


def test_pictures_are_chosen_evenly():
    assert _evenly(list(range(7)), 100) == list(range(7))
    chosen = _evenly(list(range(2594)), MOST_PICTURES)
    assert (chosen[0], chosen[-1], len(set(chosen))) == (0, 2593, MOST_PICTURES)
    assert set(np.diff(chosen)) <= {26, 27}


def test_the_page_stays_small(tmp_path, make, monkeypatch):
    image = np.random.default_rng(0).integers(0, 256, (1, 224, 224, 3)).astype(np.uint8)  # noise compresses worst
    case = make("noise", image=image, label=np.ones((1, 224, 224), np.uint8))
    cases = [replace(case, name=f"noise{number}", content=str(number)) for number in range(2594)]
    monkeypatch.setattr(report_page, "thumbnail", lambda root, _: thumbnail(root, case))
    write_reports(manifest_of(*cases), tmp_path)
    html = (tmp_path / "report.html").read_text()
    assert html.count("<figure>") == MOST_ODD  # none has a background: all are odd
    assert len(html) < 5e6


def picture(tmp_path, case):
    return np.asarray(Image.open(io.BytesIO(thumbnail(tmp_path, case)))).astype(int)


def colour(index):
    return np.array(list(bytes.fromhex(COLOURS[index - 1][1:])))


def test_a_thumbnail_outlines_each_class(tmp_path, make):
    label = np.zeros((3, 40, 80), np.uint8)
    label[1, 10:30, 10:30], label[1, 5:35, 50:70] = 1, 2
    seen = picture(tmp_path, make("a", image=np.full((3, 40, 80), 0.5, np.float32), label=label))
    assert seen.shape == (SIDE // 2, SIDE, 3)
    scale = SIDE / 80
    for index, row, column in ((1, 20, 10), (1, 20, 29.9), (1, 10, 20), (2, 20, 50), (2, 34.9, 60)):
        near = seen[int(row * scale) - 2 : int(row * scale) + 3, int(column * scale) - 2 : int(column * scale) + 3]
        assert np.abs(near - colour(index)).sum(-1).min() < 100, (index, row, column)
    inside = seen[int(20 * scale), int(20 * scale)]
    assert np.ptp(inside) < 20  # grey


def test_a_thumbnail_separates_touching_instances(tmp_path, make):
    label = np.ones((1, 40, 40), np.uint8)
    instances = np.where(np.arange(40) < 20, 1, 2) * label
    image = np.zeros((1, 40, 40, 3), np.uint8)
    border = SIDE // 2
    apart = picture(tmp_path, make("a", image=image, label=label, instances=instances))
    assert np.abs(apart[100, border] - colour(1)).sum() < 100
    assert picture(tmp_path, make("b", image=image, label=label))[100, border].sum() < 60


@pytest.mark.parametrize("shape", [(1, 1, 1), (1, 1, 300), (2, 300, 1), (1, 3, 5)])
def test_thumbnails_of_any_shape(tmp_path, make, shape):
    seen = picture(tmp_path, make("a", image=np.zeros(shape, np.float32), label=np.zeros(shape, np.uint8)))
    assert max(seen.shape[:2]) == SIDE
    assert seen.max() == 0


def test_pictures_in_the_page_can_be_decoded(reports):
    _, _, html = reports
    data = [base64.b64decode(found) for found in re.findall(r"base64,([^\"]+)", html)]
    assert [Image.open(io.BytesIO(content)).size for content in data] == [(SIDE, 168)] * 5
