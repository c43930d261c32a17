"""Every command of the documentation is run, page by page, and its output compared with what the page shows.

A page has Open vSwitch and a machine of its own (a sandbox): what it starts ends with it.  How a block says what is to
be done with it is in tests/support/pages.py.  One thing stands in: grpcurl is in no Debian package, so
tests/support/grpcurl.py makes the same calls from the same command line.
"""

from __future__ import annotations

import inspect
import re
import shlex
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import pytest
import yaml
from pydantic import BaseModel

from apps.cli.__main__ import COMMANDS, cli
from apps.cli.errors import EXIT_CODES
from apps.cli.kinds import Scope
from apps.cli.manifest import read_manifest
from apps.lab.wait import eventually
from controller.config import Config
from controller.model.errors import REASONS
from controller.pipeline.tables import TABLE_NAMES, Reason
from tests.support.pages import PAGES, ROOT, Block, anchors, links, prose, read_blocks, rows
from tests.support.rig import Rig
from tests.support.terminal import HOME, Terminal

DIRECTORY = "/run/reader"
"""Where a page is followed: what a checkout has is there, and what it writes stays out of the checkout."""
PROMPTS = ("mininet> ", "lab> ")
NEEDS_TRYING = ("console", "sh", "bash", "python")
BLOCKS = {page: tuple(read_blocks(page)) for page in PAGES}
FOLLOWED = [page for page, blocks in BLOCKS.items() if any("run" in block.words for block in blocks)]


def _id(page: Path) -> str:
    return str(page.relative_to(ROOT))


# -- pages that are followed

_MACHINE = f"""
mkdir {DIRECTORY} {HOME}
ln -s {ROOT}/topologies {ROOT}/.venv {DIRECTORY}
"""


class Reader:
    """Follows a page: types its commands into its terminals and looks at what they say."""

    def __init__(self, rig: Rig) -> None:
        self._sandbox = rig.sandbox
        self._terminals: dict[str, Terminal] = {}
        self._said = ""
        self._sandbox.run("sh", "-ec", _MACHINE)
        rig.own_tmp()

    def follow(self, block: Block) -> None:
        if "file" in block.words:
            self._sandbox.path(f"{DIRECTORY}/{block.words['file']}").write_text(block.text + "\n")
        elif "output" in block.words:
            _compare(self._said, block.text.splitlines(), block)
        elif block.language == "python" and "run" in block.words:
            status, self._said = self._terminal("python", python=True).run(block.text)
            assert status == 0, f"{block}: failed\n{self._said}"
        elif "run" in block.words:
            if "eventually" in block.words:
                eventually(lambda: self._type(block) or True, 30, f"the output of {block}")
            else:
                self._type(block)

    def left_unread(self) -> str:
        """What the terminals said since their last commands: of a failed page, the controller's log."""
        return "\n".join(f"--- terminal {name}\n{terminal.unread}" for name, terminal in self._terminals.items())

    def _type(self, block: Block) -> None:
        terminal = self._terminal(block.words.get("terminal", "1"))
        steps = list(_steps(block.text))
        for number, (typed, expected) in enumerate(steps, start=1):
            wanted = int(block.words.get("status", "0")) if number == len(steps) else 0
            status = 0
            if typed == "^C":
                self._said = terminal.interrupt()
            elif typed.startswith(PROMPTS):
                prompt, _, line = typed.partition(" ")
                if line == "exit":
                    self._said = terminal.start(line, "completed in")
                else:
                    self._said = terminal.start(line, prompt, timeout_s=90)
            elif "until" in block.words and number == len(steps):
                self._said = terminal.start(typed.removeprefix("$ "), block.words["until"])
            else:
                status, self._said = terminal.run(typed.removeprefix("$ "))
            assert status == wanted, f"{block}: exit status {status} of: {typed}\n{self._said}"
            _compare(self._said, expected, block)

    def _terminal(self, name: str, *, python: bool = False) -> Terminal:
        if name not in self._terminals:
            self._terminals[name] = Terminal(self._sandbox, DIRECTORY, python=python)
        return self._terminals[name]


def _steps(text: str) -> Iterator[tuple[str, list[str]]]:
    """What is typed, and the output that stands below it.  A backslash and a loop go on in the next line."""
    typed, expected = "", []
    for line in text.splitlines():
        if typed.endswith("\\") or (typed.startswith("$ for ") and not typed.endswith("done")):
            typed += "\n" + line
        elif line.startswith(("$ ", *PROMPTS)) or line == "^C":
            if typed:
                yield typed, expected
            typed, expected = line, []
        else:
            expected.append(line)
    if typed:
        yield typed, expected


def _compare(said: str, expected: list[str], block: Block) -> None:
    """Each expected line is in the output, in this order; `...` is anything, and spaces count as one."""
    left = [" ".join(line.split()) for line in said.splitlines()]
    for line in filter(None, (" ".join(each.split()) for each in expected)):
        pattern = re.compile(".*".join(map(re.escape, re.split(r" *\.\.\. *", line))))
        found = next((number for number, each in enumerate(left) if pattern.search(each)), None)
        assert found is not None, f"{block}: expected {line!r} in\n{said}"
        left = left[found + 1 :]


@pytest.mark.parametrize("page", FOLLOWED, ids=_id)
def test_page_works_when_followed_word_by_word(page: Path, ovs: Rig) -> None:
    """Every block of the page runs, in order, and says what the page says."""
    reader = Reader(ovs)
    try:
        for block in BLOCKS[page]:
            reader.follow(block)
    except AssertionError:
        print(reader.left_unread())
        raise


def test_every_command_block_is_run_or_says_why_not() -> None:
    """A block that cannot be run carries its reason."""
    untried = [
        str(block) for blocks in BLOCKS.values() for block in blocks
        if block.language in NEEDS_TRYING and not ("run" in block.words or block.words.get("skip"))
    ]
    assert untried == []
    assert {_id(page) for page in FOLLOWED} >= {"docs/mininet.md", "docs/grpc.md", "docs/attach-ovs.md"}


# -- what can be checked without running


def test_links_lead_somewhere() -> None:
    """Every relative link is to a file that exists, and to a heading that it has."""
    broken = []
    for page in PAGES:
        for target in links(page):
            path, _, anchor = target.partition("#")
            file = (page.parent / path).resolve() if path else page
            if target.startswith(("http://", "https://")):
                continue
            if not file.exists() or (anchor and anchor not in anchors(file)):
                broken.append(f"{_id(page)}: {target}")
    assert broken == []


def test_every_page_is_linked_from_the_readme() -> None:
    """A page that nobody finds is no page."""
    linked = {target.partition("#")[0] for target in links(ROOT / "README.md")}
    assert {_id(page) for page in PAGES if page.name != "README.md"} - linked == set()


def test_files_named_in_prose_exist() -> None:
    """`controller/...`, `docs/...` and the like in code marks are files or folders of the repository."""
    tops = "apps|bench|controller|docs|proto|scripts|tests|topologies"
    missing = []
    for page in PAGES:
        for named in re.findall(rf"`((?:{tops})/[\w/.{{}},-]*)`", prose(page)):
            for path in _expanded(named):
                if not (ROOT / path).exists():
                    missing.append(f"{_id(page)}: {named}")
    assert missing == []


def _expanded(path: str) -> list[str]:
    braces = re.search(r"\{([^}]*)\}", path)
    if braces is None:
        return [path]
    head, tail = path[: braces.start()], path[braces.end() :]
    files = [head + choice + tail for choice in braces[1].split(",")]
    return [file if (ROOT / file).exists() else f"{file}.py" for file in files]


def test_pages_say_nothing_of_one_machine() -> None:
    """No page holds a path of the machine that it was written on."""
    words = ("/root/", "/home/", "/tmp/")
    assert [f"{_id(page)}: {word}" for page in PAGES for word in words if word in page.read_text()] == []


@pytest.mark.parametrize(
    "block", [block for blocks in BLOCKS.values() for block in blocks if block.language in ("toml", "yaml")], ids=str
)
def test_configuration_and_manifest_blocks_can_be_used(block: Block) -> None:
    """TOML is a configuration that pliantd takes; YAML is a manifest that `pliant apply` reads."""
    if block.language == "toml":
        Config(**tomllib.loads(block.text))
    else:
        assert list(yaml.safe_load_all(block.text))
        assert read_manifest(block.text, str(block), Scope(tenant="", network=""))


# -- tables that have to be complete


def test_every_configuration_key_is_documented() -> None:
    """docs/configuration.md lists every key with its default, and no other."""
    documented = {row[0]: row[2].strip("`") for row in rows(ROOT / "docs/configuration.md", "key")}
    defaults = dict(_defaults(Config()))
    assert documented.keys() == defaults.keys()
    wrong = {key: documented[key] for key, value in defaults.items() if key != "state_dir" and documented[key] != value}
    assert wrong == {}


def _defaults(section: BaseModel, prefix: str = "") -> Iterator[tuple[str, str]]:
    for name in type(section).model_fields:
        value: Any = getattr(section, name)
        if isinstance(value, BaseModel):
            yield from _defaults(value, f"{name}.")
        else:
            text = f'"{getattr(value, "value", value)}"' if isinstance(value, str) else f"{value}"
            yield prefix + name, text


def test_every_error_reason_is_documented() -> None:
    """docs/grpc.md lists every reason with its meaning, as the registry has it, and the codes it comes with."""
    table = rows(ROOT / "docs/grpc.md", "reason")
    assert {row[0]: row[2] for row in table} == REASONS
    raised = _raised()
    wrong = {row[0]: row[1] for row in table if raised.get(row[0], {row[1]}) != set(row[1].split(", "))}
    assert wrong == {}, {reason: raised.get(reason) for reason in wrong}


def test_every_error_reason_is_given_somewhere() -> None:
    """A registered reason that nothing gives is a promise about nothing."""
    sources = _sources()
    assert [reason for reason in REASONS if sources.count(f'"{reason}"') < 2] == []


def _raised() -> dict[str, set[str]]:
    """Reason -> the codes of the errors that are raised with it, as far as the source says it in so many words."""
    from controller.model import errors

    codes = {
        name: kind.code for name, kind in inspect.getmembers(errors, inspect.isclass)
        if issubclass(kind, errors.PliantError)
    }
    found: dict[str, set[str]] = {}
    for name, reason in re.findall(rf"\b({'|'.join(codes)})\(\s*\"([A-Z_]+)\"", _sources()):
        found.setdefault(reason, set()).add(codes[name])
    return found


def _sources() -> str:
    return "\n".join(file.read_text() for file in sorted((ROOT / "controller").rglob("*.py")))


def test_every_reason_of_a_state_is_documented() -> None:
    """docs/troubleshooting.md says what to do about each condition, alarm and drop."""
    page = ROOT / "docs/troubleshooting.md"
    conditions = set(re.findall(r"(?:\b(?:Condition|Unbound)\(\s*reason=|\b_by_switch\()\"([A-Z_]+)\"", _sources()))
    alarms = set(re.findall(r"(?:\bAlarm\(\s*reason=|\b_alarm\()\"([A-Z_]+)\"", _sources()))
    assert {row[0] for row in rows(page, "condition")} == conditions
    assert {row[0] for row in rows(page, "alarm")} == alarms
    assert {row[0] for row in rows(page, "drop")} == {reason.name for reason in Reason}


def test_every_table_is_named_as_the_page_names_it() -> None:
    """docs/attach-ovs.md gives ovs-ofctl the names of all tables."""
    named = dict(re.findall(r"\b(\d+):([a-z_]+)\b", (ROOT / "docs/attach-ovs.md").read_text()))
    assert {int(number): name for number, name in named.items()} == dict(TABLE_NAMES)


def test_every_command_is_documented() -> None:
    """docs/cli.md has a section for each command, and names no option that the command has not."""
    page = (ROOT / "docs/cli.md").read_text()
    sections = dict(re.findall(r"^### pliant ([\w-]+)$(.*?)(?=^##|\Z)", page, flags=re.MULTILINE | re.DOTALL))
    assert sections.keys() == COMMANDS.keys()
    assert {int(row[0]): row[1] for row in rows(ROOT / "docs/cli.md", "status")} == EXIT_CODES
    context = click.Context(cli)
    unknown = []
    for name, text in sections.items():
        command = cli.get_command(context, name)
        assert command is not None
        named = set(re.findall(r"(?<![\w-])(--?[a-z][\w-]*)", " ".join(re.findall(r"`[^`\n]+`", text))))
        unknown += [f"{name}: {option}" for option in named - _options(command)]
    assert unknown == []


def _options(command: click.Command) -> set[str]:
    own = {option for param in (*command.params, *cli.params) for option in (*param.opts, *param.secondary_opts)}
    inner = getattr(command, "commands", {}).values()
    return own.union(*(_options(each) for each in inner), {"--help"})


def test_commands_in_blocks_are_whole_words() -> None:
    """A command line of a page can be read by a shell."""
    for blocks in BLOCKS.values():
        for block in blocks:
            if block.language == "console":
                for typed, _ in _steps(block.text):
                    shlex.split(typed.removeprefix("$ "))
