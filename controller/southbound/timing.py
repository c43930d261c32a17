"""How patient the southbound is."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Timing:
    handshake_s: float = 10.0
    """From the connection to the last answer that tells what the switch is."""
    probe_s: float = 5.0
    """A switch that said nothing for so long is sent an echo."""
    dead_s: float = 15.0
    """One that still said nothing, or read nothing, after so long is given up."""
    answer_s: float = 60.0
    """The longest that a barrier or a request may wait for a sign of its answer."""
    duplicate_s: float = 1.0
    """How long a connection may take to prove itself alive when another claims its datapath id."""

    @property
    def tick_s(self) -> float:
        return min(1.0, self.probe_s / 2, self.dead_s / 4, self.handshake_s / 4)
