"""What every test can ask for.  `ovs`: real Open vSwitch of the test's own."""

from __future__ import annotations

import logging
import os
import signal
from collections.abc import Generator, Iterator

import pytest
import structlog

from apps.lab.sandbox import SandboxError
from tests.support.rig import Rig

_NEEDS_ROOT = ("ovs", "lab")
_RIG = pytest.StashKey[Rig]()


def pytest_configure() -> None:
    """Started in the background of a script, everything here would inherit that SIGINT is ignored, and Ctrl-C fail."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    # What the controller's parts log in this process is shown with a test that fails, and never between the dots.
    structlog.configure(
        processors=[structlog.dev.ConsoleRenderer(colors=False)],
        wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
        logger_factory=structlog.stdlib.LoggerFactory(),
    )
    logging.getLogger().addHandler(logging.NullHandler())


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """A test that uses the `ovs` fixture, or its module's fabric, is an `ovs` test, without saying so twice."""
    for item in items:
        if not {"ovs", "shared_fabric"}.isdisjoint(getattr(item, "fixturenames", ())):
            item.add_marker("ovs")


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Without root the real thing cannot run: a failure, not a skip, because a green run has to mean tested."""
    if os.geteuid() != 0 and any(item.get_closest_marker(marker) for marker in _NEEDS_ROOT):
        pytest.fail(
            "needs root for network namespaces: run `make test`, or leave it out with -m 'not ovs and not lab'",
            pytrace=False,
        )


@pytest.fixture
def ovs(request: pytest.FixtureRequest) -> Iterator[Rig]:
    """Open vSwitch in a sandbox of this test's own: no bridges yet, gone afterwards whatever happens."""
    with Rig() as rig:
        request.node.stash[_RIG] = rig
        yield rig


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """A failed test tells what its switches held."""
    report = yield
    shared = getattr(item, "funcargs", {}).get("shared_fabric")
    rig = item.stash.get(_RIG, shared.rig if shared else None)
    if rig is not None and report.when == "call" and report.failed:
        try:
            state = rig.describe()
        except SandboxError as error:
            state = f"(the switches could not be asked: {error})"
        report.sections.append(("Open vSwitch", state))
    return report
