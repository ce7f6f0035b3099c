"""The explorer of a drawn study, and a browser without a network to open it in."""

import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from codewatt.analysis.columns import TABLES
from codewatt.analysis.statistical_tests.columns import TEST_TABLES
from codewatt.explorer.build_explorer import write_explorer
from tests.support.raw_study import RawStudy

BROWSERS = ("chromium", "chromium-browser", "google-chrome")
#: Texts that would do something if the page took them for markup or code.
HOSTILE = (
    "</script><script>window.harmed = 1</script>",
    "<img src=x onerror='window.harmed = 1'>",
    "<!--<script>",
    "\"'><svg onload=window.harmed=1>",
    "]]> &amp; {{ 7 * 7 }} ${7 * 7}",
)


@pytest.fixture(scope="session")
def tables(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Table -> Parquet file of a drawn study; texts of the cell and run table are hostile."""
    root = tmp_path_factory.mktemp("explorer")
    study = RawStudy(root / "study", samples=2, boundary="gpu").write()
    found = {name: study.results / "tables" / f"{name}.parquet" for name in (*TABLES, *TEST_TABLES)}
    for name, column in (("cell", "host"), ("run", "evaluate_note")):
        table = pd.read_parquet(found[name])
        texts = [HOSTILE[row % len(HOSTILE)] for row in range(len(table))]
        table[column] = pd.array(texts, dtype="string")
        table.to_parquet(found[name], index=False)
    return found


@pytest.fixture(scope="session")
def page_file(tables: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The page, with hostile labels and a hostile title."""
    out = tmp_path_factory.mktemp("page") / "explorer.html"
    labels = {
        "model": {"one": HOSTILE[0]},
        "precision": {"fp32": HOSTILE[1], "int8": HOSTILE[2]},
        "prune": {"full": HOSTILE[3], "cut1": HOSTILE[4]},
    }
    write_explorer(tables, labels, out, title=HOSTILE[0])
    return out


@dataclass
class Opened:
    """An open page, and what it did that it should not do.

    Attributes:
        page: Playwright's page.
        requests: addresses that it asked for, besides its own file.
        complaints: errors and warnings of its console.
    """

    page: Any
    file: Path
    requests: list[str] = field(default_factory=list)
    complaints: list[str] = field(default_factory=list)

    def go(self, state: str = "") -> Any:
        """Open the page, with a state as in the part of the address after #."""
        self.page.goto("about:blank")
        self.page.goto(f"{self.file.as_uri()}{state}")
        self.page.wait_for_selector("#grid table")
        return self.page

    def rows(self) -> list[int]:
        """Numbers of the rows that the table shows, over all its pages."""
        found: list[int] = []
        while True:
            numbers = self.page.eval_on_selector_all(
                "#grid tbody tr", "rows => rows.map(row => Number(row.dataset.row))"
            )
            found += numbers
            following = self.page.query_selector("#pager button:last-child:not([disabled])")
            if following is None:
                return found
            following.click()

    def values(self) -> list[list[str | None]]:
        """The exact values of the table's cells on the shown page; absent ones are None."""
        return self.page.eval_on_selector_all(
            "#grid tbody tr",
            "rows => rows.map(row => [...row.cells].map(cell => cell.dataset.value ?? null))",
        )


@pytest.fixture(scope="session")
def browser() -> Iterator[Any]:
    """The system's Chromium; the test skips if there is none."""
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    executable = next(filter(None, map(shutil.which, BROWSERS)), None)
    if executable is None:
        pytest.skip(f"no browser ({', '.join(BROWSERS)}): tools/setup_browser.sh installs one")
    with playwright.sync_playwright() as library:
        # Without Chromium's own sandbox, which needs rights that containers and root lack. The
        # page is of this project and has no network.
        started = library.chromium.launch(executable_path=executable, args=["--no-sandbox"])
        yield started
        started.close()


@pytest.fixture
def open_page(browser: Any) -> Iterator[Any]:
    """open_page(file, **options): a context without a network; at the end nothing was asked for."""
    made: list[Opened] = []

    def make(file: Path, **options: Any) -> Opened:
        context = browser.new_context(offline=True, accept_downloads=True, **options)
        opened = Opened(context.new_page(), file)
        opened.page.on(
            "request",
            lambda request: (
                request.url.partition("#")[0] in (file.as_uri(), "about:blank")
                or request.url.startswith("blob:")
                or opened.requests.append(request.url)
            ),
        )
        opened.page.on("pageerror", lambda error: opened.complaints.append(str(error)))
        opened.page.on(
            "console",
            lambda message: (
                message.type not in ("error", "warning") or opened.complaints.append(message.text)
            ),
        )
        made.append(opened)
        return opened

    yield make
    for opened in made:
        harmed = opened.page.evaluate("window.harmed")
        opened.page.context.close()
        assert opened.requests == [], "the page asked for something"
        assert opened.complaints == []
        assert harmed is None, "a text of the study was run"


@pytest.fixture
def explorer(open_page: Any, page_file: Path) -> Opened:
    """The drawn study's page."""
    opened: Opened = open_page(page_file)
    return opened
