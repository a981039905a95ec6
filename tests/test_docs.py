"""The documentation tells the truth: its code runs, its links lead somewhere, its tables are those of the code."""

from __future__ import annotations

import re
import runpy
from dataclasses import fields
from pathlib import Path

import lamplighter
import lamplighter.testing
import pytest
from lamplighter.environment.failpoints import POINTS
from lamplighter.handlers.handler import HandlerKeywords
from lamplighter.messages.jobs import QueueKeywords
from lamplighter.rules.limits import Limits

ROOT = Path(__file__).resolve().parent.parent
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), ROOT / "llms.txt"])

LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)|\b(?:src|srcset)=\"([^\"]+)\"")
ABSOLUTE = re.compile(r"[a-z]+://|mailto:")
TEST_FILE = re.compile(r"`(tests/[\w./]+)`")

PUBLIC = [
    "NO_SIGNAL",
    "ActorView",
    "Attempt",
    "Backoff",
    "Cancel",
    "Carrier",
    "ChildEnded",
    "Debounce",
    "Discard",
    "Environment",
    "GraphHold",
    "GraphNode",
    "Health",
    "Job",
    "JobFailed",
    "JobFields",
    "JobGraph",
    "JobSpec",
    "JobState",
    "JobTimeout",
    "Jobs",
    "KeptStep",
    "KeyTaken",
    "LamplighterError",
    "Limits",
    "MissingExtra",
    "NoSignal",
    "NotStarted",
    "NotSupported",
    "Operator",
    "OperatorGraph",
    "Rate",
    "RestartBudget",
    "ResultLost",
    "Retry",
    "Runtime",
    "RuntimeFailed",
    "Schedule",
    "Scheduler",
    "SchemaTooNew",
    "SignalRefused",
    "SlotStory",
    "Snooze",
    "StaleClaim",
    "Step",
    "StoreCorrupt",
    "StoreError",
    "StoreGone",
    "StoreUnavailable",
    "Swept",
    "UnknownHandler",
    "UnknownJob",
    "UnknownSchedule",
    "UsageError",
    "configure_logging",
]
"""A name that is added here is promised to users; one that is removed breaks them."""

PUBLIC_FOR_TESTS = [
    "Call",
    "Choices",
    "Faults",
    "Inline",
    "ManualClock",
    "ManualTime",
    "Script",
    "Simulation",
    "Violation",
    "assert_not_queued",
    "assert_queued",
    "cancel",
    "crash",
    "discard",
    "drain",
    "fail",
    "hang",
    "job",
    "ok",
    "simulations",
    "snooze",
    "work",
]
"""The same for `lamplighter.testing`."""


def anchors_of(page: Path) -> set[str]:
    """The anchors that GitHub gives to a page's headings."""
    headings = re.findall(r"^#+ (.+)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def links_of(text: str) -> list[str]:
    """Where a page's links lead, and where its pictures are."""
    return [link or picture for link, picture in LINK.findall(text)]


def name_of(page: Path) -> str:
    return str(page.relative_to(ROOT))


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_every_relative_link_leads_somewhere(page: Path) -> None:
    links = [link for link in links_of(page.read_text("utf-8")) if not ABSOLUTE.match(link)]

    broken = []
    for link in links:
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        if not target.exists() or (anchor and target.suffix == ".md" and anchor not in anchors_of(target)):
            broken.append(link)

    assert broken == []


def test_in_a_published_readme_every_link_leads_to_a_file_of_the_versions_tag() -> None:
    absolute = runpy.run_path(str(ROOT / "docs" / "build_dist.py"))["absolute"]
    readme = (ROOT / "README.md").read_text("utf-8")
    there = re.compile(r"https://forge\.example/o/n/(?:blob|raw)/v9/([^#]+)(?:#.*)?")

    links = links_of(absolute(readme, "https://forge.example/o/n", "9"))

    assert len(links) == len(links_of(readme)) > 30
    assert [link for link in links if not ABSOLUTE.match(link)] == []
    found = [match[1] for link in links if (match := there.fullmatch(link))]
    assert len(found) == len([link for link in links_of(readme) if not ABSOLUTE.match(link)])
    assert [path for path in found if not (ROOT / path).exists()] == []


NOT_THE_FIELDS = re.compile(
    r"bear to be repeated|dies as poison|heeds? (?:its|the) signal|\bdeaf\b|wrong last night|wrong tonight"
    r"|folds the log|right data|not twice|what was missed|clocks that change|look, and act|as they are told|rests on"
    r"|JSON can(?:not)? carry|date-time|no calendar has",
    re.IGNORECASE,
)
"""Words for which the field has better ones."""

INTERNAL = {"CHANGELOG.md", "CONTRIBUTING.md", "docs/architecture.md", "docs/mutants.md", "docs/reliability.md"}
"""Pages that are not for users; nor are the decisions."""


@pytest.mark.parametrize("page", [page for page in PAGES if "decisions" not in page.parts], ids=name_of)
def test_a_page_for_users_speaks_the_words_of_the_field(page: Path) -> None:
    text = page.read_text("utf-8")

    assert name_of(page) in INTERNAL or NOT_THE_FIELDS.findall(text) == []


def test_the_index_of_decisions_has_each_page_once() -> None:
    folder = ROOT / "docs" / "decisions"
    pages = {path.name for path in folder.glob("*.md")} - {"README.md"}

    listed = re.findall(r"^\| \[.+\]\(([\w-]+\.md)\) \|", (folder / "README.md").read_text("utf-8"), re.MULTILINE)

    assert sorted(listed) == sorted(pages)


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_every_test_file_that_a_page_names_exists(page: Path) -> None:
    named = set(TEST_FILE.findall(page.read_text("utf-8")))

    assert {path for path in named if not (ROOT / path).exists()} == set()


def test_the_page_of_events_is_generated_from_the_table_of_events() -> None:
    wanted = runpy.run_path(str(ROOT / "docs" / "generate_events.py"))["page"]()

    assert (ROOT / "docs" / "events.md").read_text("utf-8") == wanted, "run: python docs/generate_events.py"


def test_each_step_of_a_job_is_where_the_architecture_says() -> None:
    page = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    steps = re.findall(r"^\| `([\w/]+\.py)`: `(?:(\w+)\.)?(\w+)` \|", page, re.MULTILINE)

    assert len(steps) > 10
    for file, owner, name in steps:
        text = (ROOT / file).read_text(encoding="utf-8")
        assert f"def {name}(" in text, f"{file} has no {name}"
        assert not owner or f"class {owner}" in text, f"{file} has no {owner}"


def test_the_page_of_configuration_names_every_limit_with_its_default_and_no_other() -> None:
    text = (ROOT / "docs" / "configuration.md").read_text("utf-8")
    _, _, section = text.partition("## Limits")
    rows = re.findall(r"^\| `(\w+)` \| ([^|]+) \|", section, re.MULTILINE)

    told = {name: float(eval(default.replace("`", ""), {"__builtins__": {}})) for name, default in rows}

    assert told == {field.name: float(field.default) for field in fields(Limits)}  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("title", "options"), [("a handler", HandlerKeywords.__optional_keys__), ("a job", QueueKeywords.__optional_keys__)]
)
def test_the_page_of_configuration_names_every_option_and_no_other(title: str, options: frozenset[str]) -> None:
    text = (ROOT / "docs" / "configuration.md").read_text("utf-8")
    section = text.partition(f"## Options of {title}\n")[2].partition("\n## ")[0]

    assert sorted(re.findall(r"^\| `(\w+)` \|", section, re.MULTILINE)) == sorted(options)


def test_the_public_names_are_sorted_and_are_those_that_were_promised() -> None:
    assert lamplighter.__all__ == sorted(lamplighter.__all__, key=lambda name: (not name.isupper(), name))
    assert lamplighter.__all__ == PUBLIC
    assert all(hasattr(lamplighter, name) for name in lamplighter.__all__)


def test_the_names_of_the_test_kit_are_sorted_and_are_those_that_were_promised() -> None:
    assert lamplighter.testing.__all__ == sorted(lamplighter.testing.__all__)
    assert lamplighter.testing.__all__ == PUBLIC_FOR_TESTS


def test_the_page_of_testing_names_every_failpoint_and_says_where_it_is() -> None:
    text = (ROOT / "docs" / "testing.md").read_text("utf-8")
    _, _, section = text.partition("## A real process that dies")

    assert dict(re.findall(r"^\| `([\w.]+)` \| (.+) \|$", section, re.MULTILINE)) == POINTS


def test_the_page_of_testing_shows_every_name_of_the_test_kit() -> None:
    text = (ROOT / "docs" / "testing.md").read_text("utf-8")

    unnamed = [name for name in lamplighter.testing.__all__ if not re.search(rf"\b{name}\b", text)]

    # What a test gets from the others, and never makes itself.
    assert unnamed == ["Call", "ManualClock", "Violation"]


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_no_page_names_a_path_of_the_machine_it_was_written_on(page: Path) -> None:
    assert re.search(r"/(work|root|home|tmp)/\w", page.read_text("utf-8")) is None


def test_the_site_has_each_page_once_in_three_tiers() -> None:
    build = runpy.run_path(str(ROOT / "docs" / "site" / "build.py"))
    tiers, below, lists = build["CONTENTS"], build["BELOW"], build["LISTS"]
    order = [name for names in [*tiers.values(), *below.values()] for name in names]

    pages = {str(path.relative_to(ROOT / "docs").with_suffix("")) for path in (ROOT / "docs").glob("**/*.md")}
    elsewhere = {"changelog", "contributing", "decisions", *lists}
    assert list(tiers) == ["Use", "Operate", "Inside"]
    assert (tiers["Use"][0], tiers["Operate"][0], tiers["Inside"]) == ("quickstart", "production", ["inside"])
    assert len(order) == len(set(order))
    assert {name for name in pages if not name.startswith("decisions/")} == set(order) - elsewhere
