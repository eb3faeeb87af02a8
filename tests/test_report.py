"""The HTML report in a real Chromium: no requests, nothing cut off or overlapping, everything reachable."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, sync_playwright

from reports.analysis.readings import Readings
from reports.conclusions import Conclusions, conclude
from reports.render import html, report_directory
from reports.render.charts import LIGHT, charts, named, saved, uncollected
from reports.render.summary import summary
from reports.runs import conclusions_of
from tests import scripted
from tests.conftest import Known
from tests.shapes import even, told
from tests.test_following import followed

WIDTHS = (400, 1000, 1600)
SCHEMES = ("light", "dark")
SHOWN = (
    "one cell",
    "curves",
    "every endpoint",
    "three arms",
    "open loop",
    "all kinds of verdicts",
    "base and head",
)
CHROMIUM = next(
    (found for name in ("chromium", "chromium-browser", "google-chrome") if (found := shutil.which(name))),
    None,
)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    if CHROMIUM is None and "CI" not in os.environ:
        pytest.skip("Chromium is not installed")
    with sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=CHROMIUM, args=["--disable-gpu"])
        yield opened
        opened.close()


class Pages(dict[str, Path]):
    """The page of every shape, without accompanying files; each is written when it is first needed."""

    def __init__(self, known: Known, directory: Path) -> None:
        super().__init__()
        self.known, self.directory = known, directory

    def __missing__(self, name: str) -> Path:
        self[name] = page_of(self.known[name], self.directory / f"{name}.html")
        return self[name]


def page_of(conclusions: Conclusions, path: Path) -> Path:
    """The page of a report with its pictures, as `path`; without bitmaps, which take most of the time."""
    with uncollected():
        drawn = [(one, named(saved(one.draw(LIGHT), "svg").decode(), one)) for one in charts(conclusions)]
    path.write_text(html.page(conclusions, drawn, summary(conclusions)), encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def reports(known: Known, tmp_path_factory: pytest.TempPathFactory) -> Pages:
    return Pages(known, tmp_path_factory.mktemp("pages"))


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    """A page that fails its test on any console error or network request."""
    opened = browser.new_page(viewport={"width": 1000, "height": 900})
    complaints: list[str] = []
    opened.on("console", lambda message: complaints.append(message.text))
    opened.on("pageerror", lambda error: complaints.append(str(error)))
    opened.on(
        "request",
        lambda request: complaints.append(request.url) if not request.is_navigation_request() else None,
    )
    yield opened
    opened.close()
    assert complaints == []


LAYOUT = """() => {
  const faults = [];
  const root = document.scrollingElement;
  if (root.scrollWidth > innerWidth) faults.push(`the page is ${root.scrollWidth} wide`);
  for (const element of document.querySelectorAll('h1,h2,h3,p,li,dt,dd,summary,label,legend,output,th,td')) {
    if (element.closest('svg') || !element.checkVisibility()) continue;
    if (element.scrollWidth > element.clientWidth + 1 && element.clientWidth > 0)
      faults.push(`cut: ${element.textContent.trim().slice(0, 60)}`);
  }
  const texts = [];
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  for (let node = walker.nextNode(); node; node = walker.nextNode()) {
    const parent = node.parentElement;
    if (!node.textContent.trim() || parent.closest('script,style,svg,.skip')) continue;
    if (!parent.checkVisibility()) continue;
    const range = document.createRange();
    range.selectNodeContents(node);
    for (const box of range.getClientRects())
      texts.push([node.textContent.trim().slice(0, 40), box, parent.closest('.scroll') !== null]);
  }
  for (const picture of document.querySelectorAll('figure svg')) {
    const frame = picture.getBoundingClientRect();
    for (const text of picture.querySelectorAll('text')) {
      const box = text.getBoundingClientRect();
      const words = text.textContent.trim();
      if (!words || box.width === 0) continue;
      texts.push([words, box, true]);
      if (box.left < frame.left - 2 || box.right > frame.right + 2)
        faults.push(`out of the picture: ${words}`);
    }
  }
  for (const [words, box, scrolls] of texts)
    if (!scrolls && (box.left < -1 || box.right > innerWidth + 1)) faults.push(`out of the page: ${words}`);
  texts.sort((one, other) => one[1].top - other[1].top);
  for (let i = 0; i < texts.length; i++)
    for (let j = i + 1; j < texts.length && texts[j][1].top < texts[i][1].bottom - 2; j++) {
      const [a, b] = [texts[i][1], texts[j][1]];
      const wide = Math.min(a.right, b.right) - Math.max(a.left, b.left);
      const high = Math.min(a.bottom, b.bottom) - Math.max(a.top, b.top);
      if (wide > 1.5 && high > 0.3 * Math.min(a.height, b.height))
        faults.push(`overlap: ${texts[i][0]} | ${texts[j][0]}`);
    }
  return faults;
}"""


@pytest.mark.parametrize("shape", SHOWN)
def test_nothing_is_cut_off_or_overlaps(page: Page, reports: dict[str, Path], shape: str) -> None:
    """At every width as loaded, and then in the dark with everything opened."""
    page.goto(reports[shape].as_uri())
    assert page.locator("details[open]").count() == 0
    for scheme in SCHEMES:
        page.emulate_media(color_scheme="dark" if scheme == "dark" else "light")
        page.evaluate(
            "(open) => document.querySelectorAll('details').forEach((d) => d.open = open)", scheme == "dark"
        )
        for width in WIDTHS:
            page.set_viewport_size({"width": width, "height": 900})
            assert page.evaluate(LAYOUT) == [], f"{width}, {scheme}"


def test_dark_mode_follows_the_reader(page: Page, reports: dict[str, Path]) -> None:
    papers = {}
    for scheme in SCHEMES:
        page.emulate_media(color_scheme="dark" if scheme == "dark" else "light")
        page.goto(reports["one cell"].as_uri())
        papers[scheme] = page.evaluate(
            "[getComputedStyle(document.body).backgroundColor,"
            " getComputedStyle(document.querySelector('#chart-verdicts-patch_1 path')).fill]"
        )
    assert papers["light"] == ["rgb(255, 255, 255)", "rgb(255, 255, 255)"]
    assert papers["dark"] == ["rgb(13, 17, 23)", "rgb(13, 17, 23)"]


def test_no_two_parts_share_an_id(page: Page, reports: dict[str, Path]) -> None:
    page.goto(reports["curves"].as_uri())
    ids = page.evaluate("[...document.querySelectorAll('[id]')].map((element) => element.id)")
    assert len(ids) == len(set(ids))


def test_headings_tables_and_regions_have_names_and_roles(page: Page, reports: dict[str, Path]) -> None:
    page.goto(reports["curves"].as_uri())
    assert page.locator("html").get_attribute("lang") == "en"
    assert page.get_by_role("heading", level=1).count() == 1
    assert page.get_by_role("heading", level=2).all_text_contents() == [
        "What to write, and why", "Caveats and environment", "Every cell", "Charts",
    ]  # fmt: skip
    assert page.get_by_role("article", name="upstream").count() == 1
    assert page.get_by_role("searchbox", name="Scenario").count() == 1
    assert page.get_by_role("columnheader", name="verdict").count() >= 1
    assert page.get_by_role("rowheader", name="posts.read").count() == 4
    assert page.get_by_role("img").count() == 6
    for picture in page.get_by_role("img").all():
        assert picture.locator("title").first.text_content()


def test_everything_can_be_reached_by_keyboard_and_shows_its_focus(
    page: Page, reports: dict[str, Path]
) -> None:
    page.goto(reports["curves"].as_uri())
    wanted = page.evaluate(
        "[...document.querySelectorAll('a, input, summary, [tabindex]')].filter(e => "
        "e.checkVisibility()).length"
    )
    seen = []
    for _ in range(wanted):
        page.keyboard.press("Tab")
        seen.append(
            page.evaluate(
                "(() => { const e = document.activeElement;"
                " e.dataset.reached = 'yes';"
                " return getComputedStyle(e).outlineStyle })()"
            )
        )
    assert page.evaluate("document.querySelectorAll('[data-reached]').length") == wanted > 20
    assert set(seen) == {"solid"}


def test_the_filter_narrows_cards_and_table_together(page: Page, reports: dict[str, Path]) -> None:
    page.goto(reports["every endpoint"].as_uri())
    every = page.locator(".card").count()
    assert page.locator(".card:visible").count() == every > 25
    page.get_by_role("searchbox", name="Scenario").fill("posts, ping")
    shown = page.locator(".card:visible h3").all_text_contents()
    assert shown
    assert all("posts" in name or "ping" in name for name in shown)
    assert page.locator("#cells tbody tr:visible").count() == len(shown)
    assert page.locator("#count").text_content() == f"{len(shown)} of {every} cards"
    page.get_by_role("searchbox", name="Scenario").fill("nothing like it")
    assert page.get_by_text("No card matches this filter.").is_visible()
    page.get_by_role("searchbox", name="Scenario").fill("")
    for box in page.get_by_role("checkbox").all():
        box.uncheck()
    assert page.locator(".card:visible").count() == 0
    page.get_by_role("checkbox").first.check()
    assert page.locator(".card:visible").count() > 0


def test_the_filter_neither_hides_nor_counts_the_advice_followed(page: Page, tmp_path: Path) -> None:
    """It is about all scenarios."""
    concluded = conclusions_of(followed(tmp_path, ("GET /python",)))
    page.goto(page_of(concluded, tmp_path / "report.html").as_uri())
    assert page.locator("#proof .card").is_visible()
    assert page.locator("#count").text_content() == "3 of 3 cards"
    page.get_by_role("searchbox", name="Scenario").fill("ping")
    assert page.locator("#proof .card").is_visible()
    assert page.locator("#count").text_content() == "1 of 3 cards"


def test_a_card_shows_the_ratio_at_every_load_and_says_which_one_its_figures_are_of(
    page: Page, reports: dict[str, Path]
) -> None:
    page.goto(reports["curves"].as_uri())
    card = page.get_by_role("article", name="upstream")
    loads = [" ".join(text.split()) for text in card.locator(".strips li:not(.ends)").all_text_contents()]
    assert [text.partition(" ")[0] for text in loads] == ["1", "8", "64", "256"]
    assert all("▼ ×0.8" in text for text in loads[:2])
    assert all("▲ ×" in text for text in loads[2:])
    assert "at 256 users" in (card.locator(".ratio").text_content() or "")
    marks = card.locator(".strip .mark").all()
    places = [box["x"] for mark in marks if (box := mark.bounding_box())]
    assert len(places) == 4
    assert max(places[:2]) < min(places[2:])


def test_a_card_of_an_undecided_cell_says_so_beside_its_ratio_and_draws_it_muted(
    page: Page, reports: dict[str, Path]
) -> None:
    page.goto(reports["all kinds of verdicts"].as_uri())
    told, bars = {}, {}
    for scenario in ("ping", "python", "upstream", "users.read"):
        card = page.get_by_role("article", name=scenario)
        told[scenario] = (card.locator(".ratio").text_content() or "").rpartition(", ")[2].strip()
        bars[scenario] = card.locator(".strip .bar, .strip .mark").evaluate_all(
            "marks => marks.map((mark) => getComputedStyle(mark).backgroundColor)"
        )
    assert told == {
        "ping": "n = 4", "python": "inconclusive", "upstream": "invalid", "users.read": "failing",
    }  # fmt: skip
    blue, grey = "rgb(0, 114, 178)", "rgb(140, 149, 159)"
    assert bars["ping"] == [blue, blue]
    assert bars["python"] == bars["users.read"] == [grey, grey]
    assert blue not in bars["upstream"]


def test_a_page_without_charts_has_no_section_for_them(tmp_path: Path) -> None:
    run, directory = scripted.run(tmp_path, scripted.plan(), even)
    text = html.page(conclude(run, Readings(directory)), [], {})
    assert 'id="charts"' not in text
    assert 'href="#charts"' not in text


def test_without_a_script_everything_is_shown(browser: Browser, reports: dict[str, Path]) -> None:
    with browser.new_context(java_script_enabled=False) as context:
        page = context.new_page()
        page.goto(reports["curves"].as_uri())
        assert page.locator(".card:visible").count() == 2
        assert page.locator("#filter").is_hidden()


def test_the_page_makes_no_requests(browser: Browser, reports: dict[str, Path]) -> None:
    """The content security policy blocks requests of injected content."""
    page = browser.new_page()
    page.goto(reports["one cell"].as_uri())
    refused = page.evaluate(
        """async () => {
          const told = [];
          document.addEventListener('securitypolicyviolation', (e) => told.push(e.effectiveDirective));
          await fetch('http://127.0.0.1:9/').catch(() => 0);
          document.body.append(Object.assign(new Image(), {src: 'http://127.0.0.1:9/x.png'}));
          const script = document.createElement('script');
          document.body.append(Object.assign(script, {text: 'window.smuggled = 1'}));
          await new Promise((done) => setTimeout(done, 100));
          return [told.sort(), window.smuggled ?? 0];
        }"""
    )
    page.close()
    assert refused == [["connect-src", "img-src", "script-src-elem"], 0]


def test_text_of_a_run_is_never_parsed_as_markup(page: Page, tmp_path: Path) -> None:
    run, directory = scripted.run(tmp_path, scripted.plan(), even)
    hostile = "</script><img src=x onerror=alert(1)><b>processor</b>"
    machine = run.machine.model_copy(update={"cpu": hostile})
    conclusions = conclude(run.model_copy(update={"machine": machine}), Readings(directory))
    page.goto(page_of(conclusions, tmp_path / "report.html").as_uri())
    assert page.get_by_text(hostile).count() == 1
    assert page.locator("img, b").count() == 0
    data = json.loads(page.locator("#summary").text_content() or "")
    assert data["machine"]["cpu"] == hostile


def test_the_numbers_of_the_run_are_embedded(
    page: Page, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(report_directory, "charts", lambda _: ())
    conclusions = told(tmp_path, "one cell")
    report_directory.write(conclusions)
    report = conclusions.readings.directory.report
    page.goto((report / "report.html").as_uri())
    data = json.loads(page.locator("#summary").text_content() or "")
    assert data == json.loads((report / "summary.json").read_text())


def test_it_prints_completely_and_without_controls(page: Page, reports: dict[str, Path]) -> None:
    page.goto(reports["every endpoint"].as_uri())
    page.emulate_media(media="print")
    assert page.locator("nav").is_hidden()
    assert page.locator("#filter").is_hidden()
    assert page.pdf(format="A4").startswith(b"%PDF")
    # A sheet of A4 between margins of 1 cm is 718 pixels wide.
    page.set_viewport_size({"width": 718, "height": 1000})
    assert page.evaluate("document.scrollingElement.scrollWidth") <= 718


def test_a_run_without_verdicts_still_has_a_report(page: Page, tmp_path: Path) -> None:
    run, directory = scripted.run(tmp_path, scripted.plan(), even, rounds=0)
    report_directory.write(conclude(run.model_copy(update={"complete": False}), Readings(directory)))
    page.goto((directory.report / "report.html").as_uri())
    assert page.get_by_text("The run was interrupted").count() >= 1
    assert page.evaluate(LAYOUT) == []


@pytest.mark.parametrize(("shape", "pictures", "files"), [("base and head", True, 31), ("curves", False, 3)])
def test_the_same_records_give_the_same_bytes_in_every_file(
    tmp_path: Path, shape: str, pictures: bool, files: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """From another directory, at another time. Pictures of more shapes are compared in tests/test_charts.py,
    without bitmaps: these are drawn from the same figures."""
    if not pictures:
        monkeypatch.setattr(report_directory, "charts", lambda _: ())
    found = []
    for attempt in ("first", "second"):
        conclusions = told(tmp_path / attempt, shape)
        report_directory.write(conclusions)
        report = conclusions.readings.directory.report
        found.append({path.name: path.read_bytes() for path in sorted(report.iterdir())})
    assert len(found[0]) == files
    assert found[0] == found[1]
