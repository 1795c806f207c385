"""One page of HTML that needs nothing else and says everything."""

import re
from html.parser import HTMLParser

import pytest
from synthetic_runs import fold, summary, write_run

from magicseg.reports.comparisons import with_comparisons
from magicseg.reports.page import Refused, to_html
from magicseg.reports.paper_tables import paper_table, table_names
from magicseg.reports.request import Request
from magicseg.reports.results import load_results
from magicseg.reports.tables import build_table

VOID = {"meta", "br"}


class Page(HTMLParser):
    """Checks that tags are closed in order, and collects attributes, cells by row, and links."""

    def __init__(self, text):
        super().__init__()
        self.open, self.ids, self.links, self.rows, self.titles, self.attributes = [], [], [], [], [], set()
        self.feed(text)
        self.close()
        assert not self.open

    def handle_starttag(self, tag, attrs):
        attrs = dict(attrs)
        self.attributes |= set(attrs)
        if tag not in VOID:
            self.open.append(tag)
        if "id" in attrs:
            self.ids.append(attrs["id"])
        if tag == "a":
            self.links.append(attrs["href"])
        if tag == "tr":
            self.rows.append([])
        if tag in ("td", "th"):
            self.rows[-1].append("")
        if tag == "td" and "title" in attrs:
            self.titles.append(attrs["title"])

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if "tr" in self.open and self.rows[-1]:
            self.rows[-1][-1] += data


@pytest.fixture
def page(tmp_path):
    """Return a function that writes runs and returns the page of some tables."""

    def make(*contents, names=("magic_table2",), request=None):
        for number, content in enumerate(contents):
            write_run(tmp_path, content, name=str(number))
        results = load_results(tmp_path, pytest.fail)
        return to_html([build_table(name, results, request) for name in names])

    return make


def test_all_tables_are_there_and_linked(page):
    parsed = Page(page(names=table_names()))
    assert parsed.ids == table_names()
    assert {link.removeprefix("#") for link in parsed.links} == set(table_names())
    printed = [cell for row in parsed.rows for cell in row]
    for name in table_names():
        for row in paper_table(name).rows:
            assert set(row.cells) <= set(printed)


def test_the_page_needs_nothing_else(page):
    text = page(summary())
    assert not re.search(r"<script|<link|<img|@import|url\(|https?://", text)
    assert not {attribute for attribute in Page(text).attributes if attribute.startswith("on")}
    assert "prefers-color-scheme: dark" in text
    assert "position: sticky" in text


def test_measured_stands_beside_printed_and_tells_its_seeds(page):
    parsed = Page(page(summary(dice=0.875), summary(seed=2, dice=0.90625), summary(conv="dcd", dice=0.5)))
    (row,) = [row for row in parsed.rows if row[:1] == ["UNet"]]
    assert row[1:3] == ["88.89", "89.06 ± 2.21+0.17"]
    title = parsed.titles[0].splitlines()
    assert title[:3] == ["mDice in percent, n = 2", "seed 1: 87.50", "seed 2: 90.62"]
    assert "budget full, data feedbeeffe, split mtunet, code c0dec0dec0" in title[3]


def test_a_missing_cell_is_missing(page):
    parsed = Page(page(summary()))
    (row,) = [row for row in parsed.rows if row[:1] == ["UNet +DCD"]]
    assert row[1:] == ["88.98", "–", "3.92", "–", "85.80", "–", "86.88", "–", "94.26", "–"]


def test_the_best_and_the_second_are_marked(page):
    text = page(summary(dice=0.875), summary(conv="dcd", dice=0.5))
    assert text.count('class="paper best"') == 5
    assert text.count('class="paper second"') == 5
    assert len(re.findall(r'class="ours best" title="mDice[^>]*><span>87\.50</span>', text)) == 1
    assert len(re.findall(r'class="ours second" title="mDice[^>]*><span>50\.00</span>', text)) == 1


def test_settings_have_lines_and_letters(page):
    other = summary(seed=2, dice=0.5, variant="9e8d7c6b")
    parsed = Page(page(summary(dice=0.875), other, request=Request(mix=frozenset({"variant"}))))
    first = next(index for index, row in enumerate(parsed.rows) if row[:1] == ["UNet"])
    assert parsed.rows[first][2] == "87.50a−1.39"
    assert parsed.rows[first + 1][0] == "50.00b−38.89"  # label and printed numbers span both lines
    assert len(parsed.rows[first + 1]) == 5


def test_folds_are_told_in_the_title(page):
    parsed = Page(page(*(fold(number, dice=0.5 + number / 8) for number in range(3)), names=["sgdc_table4"]))
    assert parsed.titles[0].splitlines()[:2] == [
        "Dice in percent, n = 1, 3 of 5 folds",
        "seed 1: 62.50 (fold 0: 50.00, fold 1: 62.50, fold 2: 75.00)",
    ]


def test_comparisons_and_their_reasons_are_told(tmp_path):
    cases = {f"p{number}": {name: {"dice": 0.5} for name in ("RV", "Myo", "LV")} for number in range(6)}
    better = {case: {name: {"dice": 0.6 + index / 100} for name in cases[case]} for index, case in enumerate(cases)}
    write_run(tmp_path, summary(), cases=cases)
    write_run(tmp_path, summary(conv="dcd"), cases=better)
    write_run(tmp_path, summary(conv="ddconv"))
    table = with_comparisons(build_table("magic_table2", load_results(tmp_path, pytest.fail)))
    parsed = Page(to_html([table]))
    (row,) = [row for row in parsed.rows if row[:1] == ["UNet +DCD"]]
    assert row[2].endswith("+1.02+12.50 [+11.17, +13.83]")
    assert any("minus UNet: +12.50 [+11.17, +13.83], p = 0.031, Holm 0.16" in title for title in parsed.titles)
    assert any("not compared: " in title and "cases.csv" in title for title in parsed.titles)


def test_tables_link_to_those_that_share_runs(page):
    text = page(names=["magic_table5"])
    links = re.search(r"Some of these runs are also in (.*?)</p>", text)[1]
    assert re.findall(r'href="#(\w+)"', links) == ["magic_table1"]
    assert "Some of these runs" not in page(names=["sgdc_table3"])


def test_a_refused_table_says_why(page):
    text = to_html([Refused("magic_table2", "runs <differ> & more")], ["Left out: a<b"])
    parsed = Page(text)
    assert "runs &lt;differ&gt; &amp; more" in text
    assert "<li>Left out: a&lt;b</li>" in text
    assert ["MAGIC 2", "ACDC cardiac segmentation, class columns in Dice", "refused"] in parsed.rows


def test_what_users_name_is_escaped(page):
    git = {"commit": None, "dirty": None}
    text = page(summary(provenance={"code": "c0de", "git": git, "device": '<b>"&'}, variant='">x'))
    Page(text)
    assert "Hardware: &lt;b&gt;&quot;&amp;." in text
    assert "variant &quot;&gt;x" in text
