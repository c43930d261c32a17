"""Who waits for switches, and until when.  Told the time; refuses to know what anybody waits for."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from controller.reconcile.status import Waiter

Lagging = Callable[[], tuple[int, ...]]


def new_waiter() -> Waiter:
    waiter = Waiter()
    waiter.set_running_or_notify_cancel()  # so that whoever asked cannot cancel it under our hands
    return waiter


def release(waiters: Iterable[Waiter]) -> None:
    """What they waited for is confirmed."""
    for waiter in waiters:
        if not waiter.done():
            waiter.set_result(())


class Deadlines:
    def __init__(self) -> None:
        self._waiting: list[tuple[float, Lagging, Waiter]] = []

    def add(self, deadline: float, waiter: Waiter, lagging: Lagging) -> None:
        """Unless it is released before, tell it at `deadline` who lags then."""
        self._waiting.append((deadline, lagging, waiter))

    def pass_time(self, now: float) -> None:
        for deadline, lagging, waiter in self._waiting:
            if deadline <= now and not waiter.done():
                waiter.set_result(lagging())
        self._waiting = [item for item in self._waiting if not item[2].done()]
