"""Room in the socket that ovs-vswitchd sends all ports' frames through (datapath_type=netdev).

It holds some 90 full frames: net.core.wmem_default at the daemon's start, which is the whole machine's, and a sandbox
leaves the machine as it is.  So the socket is borrowed from the daemon, which is the lab's own, and made larger there.
"""

from __future__ import annotations

import ctypes
import os
import socket

SIZE_BYTES = 4_000_000
_PIDFD_GETFD = 438
_FORCE = 32


def enlarge(pid: int, size_bytes: int = SIZE_BYTES) -> int:
    """Make it hold so much; how many sockets that were (0: the daemon has not sent anything yet).  OSError."""
    libc = ctypes.CDLL(None, use_errno=True)
    pidfd = os.pidfd_open(pid)
    try:
        found = [name for name in os.listdir(f"/proc/{pid}/fd") if _is_socket(pid, name)]
        return sum(_enlarge(libc, pidfd, int(name), size_bytes) for name in found)
    finally:
        os.close(pidfd)


def _is_socket(pid: int, name: str) -> bool:
    try:
        return os.readlink(f"/proc/{pid}/fd/{name}").startswith("socket:")
    except FileNotFoundError:  # closed meanwhile
        return False


def _enlarge(libc: ctypes.CDLL, pidfd: int, number: int, size_bytes: int) -> bool:
    """Whether this is a packet socket of no device: one that sends."""
    borrowed = libc.syscall(_PIDFD_GETFD, pidfd, number, 0)
    if borrowed < 0:
        raise OSError(ctypes.get_errno(), "pidfd_getfd")
    with socket.socket(fileno=borrowed) as ours:
        if ours.family != socket.AF_PACKET or ours.getsockname()[0]:
            return False
        ours.setsockopt(socket.SOL_SOCKET, _FORCE, size_bytes // 2)  # the kernel doubles what it is told
        return True
