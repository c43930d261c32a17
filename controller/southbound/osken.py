"""os-ken 4.2.2, repaired.  Everything of ours that needs os-ken imports it from here, so the repair always comes first.

What is wrong in os-ken's native mode, and is put right here:

- `hub.TaskExit` is `Exception`, so any error in an event handler ends its application's loop, silently.
- `hub.Event` ignores timeouts and can lose a wake-up.
- hub's threads are not daemons: one handler that hangs keeps the process from ending.
- Its parser logs a hex dump of every message that it cannot read.

What cannot be repaired (listener, connection, event queue) is replaced: see runtime, datapath and guard.
"""

from __future__ import annotations

import os
import threading
from typing import Any

os.environ.setdefault("OSKEN_HUB_TYPE", "native")

import logging
from functools import lru_cache

from os_ken.lib import hub

if hub.HUB_TYPE != "native":
    raise ImportError(f"os-ken's hub is {hub.HUB_TYPE!r}, which cannot share a process with gRPC; unset OSKEN_HUB_TYPE")


class TaskExit(BaseException):
    """What hub.TaskExit means: a task was asked to end.  No error is one."""


class _HubThread(hub.HubThread):  # type: ignore[misc]
    """A thread that does not outlive the process."""

    def __init__(self, target: Any, args: Any = (), kwargs: Any = None) -> None:
        super().__init__(target, args, {} if kwargs is None else kwargs)
        self.daemon = True
        owner = getattr(target, "__self__", None)
        if owner is not None:
            self.name = f"app-{getattr(owner, 'name', type(owner).__name__)}"


hub.TaskExit = TaskExit
hub.Event = threading.Event
hub.HubThread = _HubThread
logging.getLogger("os_ken.ofproto.ofproto_parser").setLevel(logging.CRITICAL + 1)

# app_manager before controller: os-ken's own modules import each other in a circle.
from os_ken.base import app_manager  # noqa: E402
from os_ken.controller import handler, ofp_event  # noqa: E402
from os_ken.controller.controller import Datapath  # noqa: E402
from os_ken.controller.ofp_handler import OFPHandler  # noqa: E402
from os_ken.exception import OSKenException  # noqa: E402
from os_ken.ofproto import ofproto_parser, ofproto_protocol, ofproto_v1_3, ofproto_v1_3_parser  # noqa: E402

__all__ = [
    "CONFIG",
    "DEAD",
    "HANDSHAKE",
    "MAIN",
    "OPENFLOW_1_3",
    "Datapath",
    "EventSource",
    "TaskExit",
    "app_manager",
    "error_text",
    "handler",
    "hub",
    "ofp_event",
    "ofproto",
    "ofproto_protocol",
    "parse",
    "parser",
    "pin_version",
]

HANDSHAKE: str = handler.HANDSHAKE_DISPATCHER
CONFIG: str = handler.CONFIG_DISPATCHER
MAIN: str = handler.MAIN_DISPATCHER
DEAD: str = handler.DEAD_DISPATCHER

OPENFLOW_1_3: int = ofproto_v1_3.OFP_VERSION
ofproto = ofproto_v1_3
parser = ofproto_v1_3_parser


class EventSource(OFPHandler):  # type: ignore[misc]
    """The application named 'ofp_event' whose observers get OpenFlow events.

    It neither listens nor runs a thread, and none of its handlers is called: datapath.py does the handshake itself.
    """

    def start(self) -> None:
        return

    def stop(self) -> None:
        return


def pin_version() -> None:
    """Speak OpenFlow 1.3 and nothing else.  The versions are a process-wide set that os-ken only ever narrows."""
    ofproto_protocol._supported_versions.clear()
    ofproto_protocol._supported_versions.add(OPENFLOW_1_3)


def parse(datapath: Any, frame: bytes) -> Any:
    """The frame as os-ken's message object, or None if os-ken cannot read it.

    Only for message types whose os-ken parser ends on any input: several loop for ever on a zero length.
    """
    version, kind, length, xid = ofproto_parser.header(frame)
    try:
        return ofproto_parser.msg(datapath, version, kind, length, xid, frame)
    except OSKenException:
        return None


@lru_cache(maxsize=1024)
def error_text(error_type: int, code: int) -> str:
    """An OpenFlow error by name: "FLOW_MOD_FAILED/TABLE_FULL"; numbers where there is no name."""
    type_name = _name("OFPET_", error_type)
    code_name = _name(_CODES.get(type_name, "?"), code)
    return f"{type_name}/{code_name}"


def _name(prefix: str, number: int) -> str:
    """os-ken's constant with that prefix and value, without the prefix; the number if there is none."""
    names = (name for name in dir(ofproto) if name.startswith(prefix))
    return next((name[len(prefix) :] for name in names if getattr(ofproto, name) == number), str(number))


_CODES = {
    "HELLO_FAILED": "OFPHFC_",
    "BAD_REQUEST": "OFPBRC_",
    "BAD_ACTION": "OFPBAC_",
    "BAD_INSTRUCTION": "OFPBIC_",
    "BAD_MATCH": "OFPBMC_",
    "FLOW_MOD_FAILED": "OFPFMFC_",
    "GROUP_MOD_FAILED": "OFPGMFC_",
    "PORT_MOD_FAILED": "OFPPMFC_",
    "TABLE_MOD_FAILED": "OFPTMFC_",
    "QUEUE_OP_FAILED": "OFPQOFC_",
    "SWITCH_CONFIG_FAILED": "OFPSCFC_",
    "ROLE_REQUEST_FAILED": "OFPRRFC_",
    "METER_MOD_FAILED": "OFPMMFC_",
    "TABLE_FEATURES_FAILED": "OFPTFFC_",
}
"""The prefix of os-ken's names for the codes of an error type."""
