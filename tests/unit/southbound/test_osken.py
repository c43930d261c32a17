"""The repair of os-ken."""

from __future__ import annotations

import pytest

from controller.southbound import osken


def test_hub_no_longer_takes_every_exception_for_the_end_of_a_task() -> None:
    """TaskExit was Exception."""
    assert not issubclass(osken.hub.TaskExit, Exception)
    assert not issubclass(ValueError, osken.hub.TaskExit)


def test_hub_events_time_out() -> None:
    """They waited for ever."""
    assert osken.hub.Event().wait(0.01) is False


def test_hub_threads_are_daemons() -> None:
    """A handler that hangs does not keep the process from ending."""
    thread = osken.hub.spawn(lambda: None)
    thread.join(5)
    assert thread.daemon


@pytest.mark.parametrize(
    ("number", "text"),
    [
        ((5, 1), "FLOW_MOD_FAILED/TABLE_FULL"),
        ((6, 8), "GROUP_MOD_FAILED/UNKNOWN_GROUP"),
        ((12, 1), "METER_MOD_FAILED/METER_EXISTS"),
        ((2, 9), "BAD_ACTION/BAD_OUT_GROUP"),
        ((5, 999), "FLOW_MOD_FAILED/999"),
        ((0xFFFF, 7), "EXPERIMENTER/7"),
        ((77, 3), "77/3"),
    ],
)
def test_errors_have_names(number: tuple[int, int], text: str) -> None:
    """As the specification writes them; numbers where it has no name."""
    assert osken.error_text(*number) == text
