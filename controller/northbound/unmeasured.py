"""The Bandwidth of a controller that measures none: it says so, instead of answering zeros."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from controller.intent.snapshot import Resource
from controller.model.bandwidth import BandwidthStatus
from controller.model.errors import Unavailable
from controller.model.usage import Quote, Usage


class Unmeasured:
    """Implements northbound.interfaces.Bandwidth."""

    def status(self, name: str) -> BandwidthStatus | None:
        return None

    def usage(self, kind: str, parent: str) -> Sequence[Usage]:
        raise _unmeasured()

    def follow(self, notify: Callable[[], None]) -> Callable[[], None]:
        raise _unmeasured()

    def quote(self, obj: Resource) -> Quote:
        raise _unmeasured()


def _unmeasured() -> Unavailable:
    return Unavailable("NOT_MEASURED", "this controller does not measure bandwidth")
