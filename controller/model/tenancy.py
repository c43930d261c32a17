"""The tenant: owner, unit of isolation, quota and the bandwidth of all its ports together."""

from __future__ import annotations

from dataclasses import dataclass, field

from controller.model.bandwidth import NO_POLICY, BandwidthPolicy

Labels = tuple[tuple[str, str], ...]
"""A client's own key/value marks, sorted by key."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Meta:
    """What every resource carries besides its own fields.

    `generation` is the store revision of its last change in intent.
    """

    uid: str = ""
    display_name: str = ""
    labels: Labels = ()
    created_s: float = 0.0
    generation: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Quota:
    """How many objects of each kind a tenant may have, all networks together."""

    networks: int = 100
    subnets: int = 1_000
    ports: int = 10_000
    pipes: int = 1_000
    peerings: int = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class Tenant:
    name: str
    meta: Meta = field(default_factory=Meta)
    quota: Quota = field(default_factory=Quota)
    bandwidth: BandwidthPolicy = NO_POLICY

    def __str__(self) -> str:
        return self.name
