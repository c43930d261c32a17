"""How much may wait in the socket that a userspace switch sends all its ports' frames through.

Open vSwitch sends by one packet socket that belongs to no device.  What waits in a queue still counts for the socket;
when that is full, frames of all ports are dropped.  Its size is net.core.wmem_default at the time the daemon started.
The kernel tells it to everybody (`ss -0 -m` shows the same).
"""

from __future__ import annotations

from collections.abc import Iterable

from controller.southbound.queues.messages import PacketSocket

DEFAULT_BYTES = 212_992
"""What Linux gives a socket unless it is told otherwise."""
FRAME_BYTES = 2_304
"""What a full Ethernet frame takes of it."""


def frames_at_once(sockets: Iterable[PacketSocket]) -> int:
    """Full frames that may wait in all queues together: of the sockets that a switch may send through the smallest."""
    senders = [each.send_bytes for each in sockets if not each.protocol and not each.device]
    return min(senders, default=DEFAULT_BYTES) // FRAME_BYTES
