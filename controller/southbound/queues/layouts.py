"""How netlink messages are laid out of which pyroute2 has none, or none that serves: in classes of its kind.

    TcMessage                                   qdiscs, classes, filters; options of HTB, pfifo_head_drop and u32
    TcAnswer                                    the same as the kernel says it
    PacketSocketRequest, PacketSocketMessage    what a packet socket holds

Pyroute2's own u32 keys cannot be before the network header, and no hash table can be made; each of its HTB classes
brings two tables of 256 numbers that no kernel needs any more.  Names and fields are pyroute2's, but all here derive
from `nla` and `nlmsg` themselves: a class that was used before leaves its attributes to those derived from it, whatever
these say.
"""

# mypy: disallow-subclassing-any=False

from __future__ import annotations

import sys
from collections.abc import Iterator
from struct import Struct
from typing import Any

from pyroute2.netlink import nla, nla_struct, nlmsg
from pyroute2.netlink.rtnl.tcmsg import cls_u32, sched_htb, tcmsg

_HEADER = Struct("=IHHII")
_SELECTOR_BYTES, _KEY_BYTES = 20, 16
"""of the attribute without its keys, and of each of these"""


class _Htb(nla):
    nla_map = sched_htb.options.nla_map
    htb_glob = sched_htb.options.htb_glob

    class htb_parms(nla_struct):
        fields = sched_htb.options.htb_parms.fields

    rtab = ctab = nla.hex


class _Fifo(nla):
    fields = (("limit", "I"),)


class _U32(nla):
    nla_map = (
        ("TCA_U32_UNSPEC", "none"),
        ("TCA_U32_CLASSID", "uint32"),
        ("TCA_U32_HASH", "uint32"),
        ("TCA_U32_LINK", "uint32"),
        ("TCA_U32_DIVISOR", "uint32"),
        ("TCA_U32_SEL", "selector"),
    )

    class selector(nla):
        """With its keys, each a dictionary of the fields of pyroute2's `u32_key`."""

        fields = cls_u32.options.u32_sel.fields

        def encode(self) -> None:
            """The keys come after the fields, and count for the length."""
            self["nkeys"] = len(self["keys"])
            nla.encode(self)
            for values, key in zip(self["keys"], self._keys(), strict=True):
                key.setvalue(values)
                key.encode()
            self.length = len(self.data) - self.offset
            self.data[self.offset:self.offset + 2] = self.length.to_bytes(2, sys.byteorder)

        def _keys(self) -> Iterator[Any]:
            begin = self.offset + _SELECTOR_BYTES
            for n in range(self["nkeys"]):
                yield cls_u32.options.u32_sel.u32_key(data=self.data, offset=begin + n * _KEY_BYTES)


_OPTIONS = {"htb": _Htb, "pfifo_head_drop": _Fifo, "u32": _U32}
"""by kind"""


class TcMessage(nlmsg):
    prefix = tcmsg.prefix
    fields = tcmsg.fields
    nla_map = (("TCA_UNSPEC", "none"), ("TCA_KIND", "asciiz"), ("TCA_OPTIONS", "get_options"))

    @staticmethod
    def get_options(message: nlmsg, *_: object, **__: object) -> Any:
        """How the options of this message are read and written; its kind is there before."""
        kind = next((slot[1] for slot in message["attrs"] if slot[0] == "TCA_KIND"), "")
        return _OPTIONS.get(kind, nla.hex)


class TcAnswer(nlmsg):
    """What the kernel says of these, with nothing but its header read: whoever wants more takes it out of `body`."""

    def decode(self) -> None:
        length, kind, flags, sequence_number, process = _HEADER.unpack_from(self.data, self.offset)
        self["header"] = {
            "length": length, "type": kind, "flags": flags, "sequence_number": sequence_number, "pid": process}
        self.body = memoryview(self.data)[self.offset + _HEADER.size:self.offset + length]


class PacketSocketRequest(nlmsg):
    """<linux/packet_diag.h>, packet_diag_req"""

    fields = (
        ("sdiag_family", "B"), ("sdiag_protocol", "B"), ("pad", "2x"), ("pdiag_ino", "I"), ("pdiag_show", "I"),
        ("pdiag_cookie", "8x"))


class PacketSocketMessage(nlmsg):
    """packet_diag_msg"""

    fields = (("pdiag_family", "B"), ("pdiag_type", "B"), ("pdiag_num", "H"), ("pdiag_ino", "I"), ("cookie", "8x"))
    nla_map = ((0, "PACKET_DIAG_INFO", "info"), (6, "PACKET_DIAG_MEMINFO", "memory"))

    class info(nla):
        fields = (("pdi_index", "I"),)

    class memory(nla):
        fields = (("rmem_alloc", "I"), ("rcvbuf", "I"), ("wmem_alloc", "I"), ("sndbuf", "I"))
