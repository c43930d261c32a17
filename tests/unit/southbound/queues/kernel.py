"""The other end of a netlink socket."""

from __future__ import annotations

from pyroute2.netlink import nlmsg


def received(message: nlmsg) -> nlmsg:
    """What comes out there."""
    message.reset()
    message.encode()
    read = type(message)(message.data)
    read.decode()
    return read
