"""Sentences of comments, docstrings and pages begin with their subject: strangers could not read those that did not."""

from __future__ import annotations

import ast
import io
import re
import tokenize
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from .support.package_files import ROOT, package_files

SENTENCE = re.compile(
    r"(?:\A[-#|* ]*|[.!?]['\"`)]?\s+|\n\s*\n\s*|\n\s*[-#|*]+ +\**|\| \**|: )(?:Of|What|Whoever)\b(?![^.]*\?)",
)
"""The begin of a sentence, heading or cell with one of the three words, unless the sentence is a question."""

SENTENCES_MAX = 50
ELSEWHERE = ("CHANGELOG.md",)
"""Not read: it is the history of the words, too. Neither are tests/, bench/ and examples/."""


def texts(path: Path) -> Iterator[str]:
    """The comments and docstrings of a module; the text of a page."""
    text = path.read_text("utf-8")
    if path.suffix == ".md":
        yield text
        return
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str):
            yield node.value.value
    block, last = "", -1
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type != tokenize.COMMENT:
            continue
        if token.start[0] != last + 1:
            yield block
            block = ""
        block, last = f"{block} {token.string.lstrip('# ')}".lstrip(), token.start[0]
    yield block


def test_hardly_a_sentence_begins_with_of_what_or_whoever() -> None:
    beside = [*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("docs/**/*.py")]
    files = [path.relative_to(ROOT).as_posix() for path in [*package_files(), *beside]]
    files = [file for file in files if not file.startswith(ELSEWHERE)]

    found = Counter({file: sum(len(SENTENCE.findall(text)) for text in texts(ROOT / file)) for file in files})

    assert len(files) > 300
    assert found.total() < SENTENCES_MAX, [(file, number) for file, number in found.most_common() if number]


def test_such_a_sentence_is_found_wherever_it_begins() -> None:
    wrong = ("What it is.", "It is. Of these two.", "It is:\n\n- Whoever asks", "## What holds", "| a | What it does |")
    right = ("It is what it is.", "Why? What does it cost?", "The rest of it.")

    assert [text for text in wrong if not SENTENCE.search(text)] == []
    assert [text for text in right if SENTENCE.search(text)] == []
