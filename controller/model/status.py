"""How far an object has come: what an API client reads as state and conditions."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class State(StrEnum):
    PENDING = "PENDING"
    """Not (yet) in the data plane: unbound, or some switch has not confirmed it.  A condition says which."""
    ACTIVE = "ACTIVE"
    """Every switch it needs confirmed the object's generation by barrier."""
    DEGRADED = "DEGRADED"
    """A switch refused part of it; the rest works."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Condition:
    """Why an object is as it is.  `reason` is UPPER_SNAKE and stable, e.g. UNATTACHED, SWITCH_UNKNOWN, INTERFACE_UNKNOWN, ATTACHMENT_CONFLICT,
    ATTACHMENT_IS_FABRIC, SWITCH_NOT_CONFIRMED, FLOW_REFUSED, PER_EDGE."""

    reason: str
    message: str
    switches: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Status:
    state: State
    conditions: tuple[Condition, ...] = ()
    reconciling: bool = False
