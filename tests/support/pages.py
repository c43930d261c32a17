"""The pages of the documentation as data: their fenced blocks, links and tables.

What a block is for stands behind its language, where renderers do not show it:

    ```console run                         run line by line: `$ ` begins a command, else it is expected output
    ```console run terminal=2 until=ready  in another terminal; the command stays, once its output holds "ready"
    ```console run eventually              again, until the output is as expected
    ```console run status=6                the last command is meant to fail so
    ```python run                          run, in one interpreter for the whole page
    ```yaml file=red.yaml                  kept as a file beside the page's commands
    ```text output                         expected of the block before
    ```console skip="why"                  cannot be run, for the reason given
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PAGES = tuple(sorted((*ROOT.glob("*.md"), *ROOT.glob("docs/*.md"))))
_FENCE = re.compile(r"^```(?P<language>\w*)(?P<words>.*)$")
_LINK = re.compile(r"(?<!!)\[[^\]]+\]\((?P<target>[^)\s]+)\)")
_CODE = re.compile(r"`[^`]*`")


@dataclass(frozen=True, slots=True, kw_only=True)
class Block:
    """A fenced block.  `words` are those behind the language; one without a value has ""."""

    page: Path
    line: int
    language: str
    words: dict[str, str]
    text: str

    def __str__(self) -> str:
        return f"{self.page.relative_to(ROOT)}:{self.line}"


def read_blocks(page: Path) -> Iterator[Block]:
    """Every fenced block of a page, in order."""
    lines = enumerate(page.read_text().splitlines(), start=1)
    for number, line in lines:
        fence = _FENCE.match(line)
        if fence is None:
            continue
        body = []
        for _, inner in lines:
            if inner == "```":
                break
            body.append(inner)
        pairs = (word.partition("=") for word in shlex.split(fence["words"]))
        words = {key: value for key, _, value in pairs}
        yield Block(page=page, line=number, language=fence["language"], words=words, text="\n".join(body))


def prose(page: Path) -> str:
    """The page without its blocks."""
    return re.sub(r"^```.*?^```$", "", page.read_text(), flags=re.MULTILINE | re.DOTALL)


def links(page: Path) -> list[str]:
    """Where a page's links lead, outside of code."""
    return [link["target"] for link in _LINK.finditer(_CODE.sub("", prose(page)))]


def anchors(page: Path) -> set[str]:
    """What can stand behind `#` in a link to the page: its headings, as GitHub writes them."""
    titles = re.findall(r"^#+ (.+)$", prose(page), flags=re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


def rows(page: Path, heading: str) -> list[list[str]]:
    """The rows of the first table whose first column is called `heading`, without marks of code."""
    found: list[list[str]] = []
    for line in page.read_text().splitlines():
        cells = [cell.strip().strip("`") for cell in re.split(r"(?<!\\)\|", line)[1:-1]] if line.startswith("|") else []
        if found and not cells:
            break
        if found or cells[:1] == [heading]:
            found.append(cells)
    return found[2:]
