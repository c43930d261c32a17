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
    """Why an object is as it is.

    `reason` is UPPER_SNAKE and stable: NOT_COMPILED, UNATTACHED, SWITCH_UNKNOWN, INTERFACE_UNKNOWN,
    ATTACHMENT_CONFLICT, ATTACHMENT_IS_FABRIC, SWITCH_NOT_CONFIRMED, NO_PATH, FLOW_REFUSED, COMPILE_FAILED, PER_EDGE,
    NO_METERS, PATH_POLICY_VIOLATED, PATH_POLICY_PENDING, GUARANTEE_DEGRADED, GUARANTEE_UNPROTECTED,
    GUARANTEE_NOT_ENFORCED, GUARANTEE_CROWDED.
    """

    reason: str
    message: str
    switches: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Status:
    state: State
    conditions: tuple[Condition, ...] = ()
    reconciling: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class SwitchSync:
    """How far a switch is with its program."""

    in_sync: bool = False
    confirmed_generation: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class DropCount:
    """Frames that one switch dropped for one reason.  `tenant` "" is nobody's."""

    dpid: int
    tenant: str
    reason: str
    packets: int
    bytes: int = 0
