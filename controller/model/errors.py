"""The one error tree of Pliant, and the registry of reasons an API client can meet.

    PliantError
      InvalidArgument      the request itself is wrong, whatever the state
      NotFound             a name that leads to nothing
      AlreadyExists        the id is taken
      FailedPrecondition   right request, wrong state (children left, already attached)
      Aborted              the object changed since the caller read it (stale etag)
      OutOfRange           a revision, page or watch position that is gone
      ResourceExhausted    a quota or a pool is used up
      Internal             a defect of Pliant itself
      Unauthenticated, Unavailable

Every error says what is wrong, which object, and what to do.  `reason` is stable and machine readable: it is the
google.rpc.ErrorInfo.reason that a client sees.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

REASONS: dict[str, str] = {
    # reason -> what it means to a client.  An error with a reason that is not listed here cannot be raised.
    "INVALID_ID": "An id is not 1-63 characters of a-z, 0-9 and '-' that start and end alphanumeric (RFC 1123).",
    "INVALID_NAME": "A resource name does not have the form its type requires.",
    "INVALID_FIELD": "A field's value cannot be used; the field violations say which and why.",
    "MISSING_FIELD": "A required field is empty.",
    "IMMUTABLE_FIELD": "The field cannot be changed after creation.",
    "INVALID_CIDR": "A CIDR is malformed, has host bits set, or is of the wrong family or size.",
    "INVALID_ADDRESS": "An IP or MAC address is malformed, reserved, or outside its subnet.",
    "INVALID_RATE": "A rate or burst is negative, below the minimum, or above the maximum or the ceiling.",
    "INVALID_SCHEDULE": "A window is no time, is of no known time zone, never comes, or overlaps another.",
    "INVALID_LABELS": "Labels are too many, too long, or malformed.",
    "INVALID_ENUM": "An enum field has a value that this version does not know.",
    "INVALID_UPDATE_MASK": "The update mask is empty or names a field that does not exist or cannot be updated.",
    "INVALID_PAGE_SIZE": "The page size is negative or above the maximum.",
    "INVALID_PAGE_TOKEN": "The page token was not issued by this server for this request.",
    "INVALID_FILTER": "The list filter cannot be parsed.",
    "MALFORMED_REQUEST": "The bytes of the request are not the message that the method takes.",
    "EMPTY_REQUEST": "The request holds nothing to do.",
    "NOT_FOUND": "The named object does not exist.",
    "PARENT_NOT_FOUND": "The parent, or another object this one refers to, does not exist.",
    "ALREADY_EXISTS": "An object with this name exists.",
    "CIDR_OVERLAP": "The CIDR overlaps that of another subnet of the network, or of networks that peerings join.",
    "ADDRESS_IN_USE": "Another port of the network, or its gateway, has this address.",
    "MAC_IN_USE": "Another port of the network has this MAC address, or the gateways of one that a peering joins.",
    "SUBNET_EXHAUSTED": "No free address is left in the subnet.",
    "HAS_CHILDREN": "The object still has children; delete them first or pass force.",
    "PEERING_EXISTS": "Another peering joins the same two networks.",
    "PIPE_EXISTS": "Another pipe joins the same two ports or networks.",
    "NOT_PEERED": "No peering joins the two networks, so nothing goes from one to the other.",
    "GUARANTEE_OVER_CEILING": "Guarantees are together more than a ceiling above them lets through.",
    "GUARANTEE_OVER_PARENT": "Guarantees are together more than the guarantee of the tenant or network they are in.",
    "ATTACHMENT_IN_USE": "Another port is attached to this switch port.",
    "ATTACHMENT_IS_FABRIC": "The switch port carries a link of the fabric, so no tenant port can attach there.",
    "ETAG_MISMATCH": "The object changed since it was read; read it again and repeat the change.",
    "REQUEST_ID_REUSED": "This request_id was used before with a different request.",
    "QUOTA_EXCEEDED": "The tenant's quota does not allow another object of this kind.",
    "POOL_EXHAUSTED": "A pool of small integers (slices, keys, meters) is used up.",
    "REVISION_COMPACTED": "The revision is older than the history kept; list again and watch from there.",
    "SLOW_WATCHER": "The watcher did not read fast enough and was cut; resume from the last revision it saw.",
    "GUARANTEE_DOES_NOT_FIT": "A link or access port cannot carry the guarantee beside those it carries already.",
    "WOULD_BREAK_GUARANTEES": "Links would carry less than is guaranteed there; lower guarantees, or pass force.",
    "WOULD_PARTITION": "Networks would have ports with no path between them; give them one first, or pass force.",
    "PATH_POLICY_UNSATISFIABLE": "No path between two switches keeps to the network's path policy: see the message.",
    "PORT_NOT_BOUND": "The port is on no switch now, so no path leads there.",
    "SWITCH_CONNECTED": "The switch is connected; disconnect it before it is forgotten.",
    "UNAUTHENTICATED": "No valid token came with the call.",
    "SHUTTING_DOWN": "The controller is stopping.",
    "STORE_FAILED": "The store could not keep the change (disk full, file damaged); nothing was changed.",
    "INTERNAL": "A defect of the controller; nothing was changed, and its log has the details.",
}


class PliantError(Exception):
    """An error with a gRPC code, a registered reason, and what the caller needs to mend it.

    `fields` maps a request field path ("port.addresses[0]") to what is wrong with it.  `metadata` carries
    machine-readable details; `subject` is the resource name or object it is about.
    """

    code: ClassVar[str] = "UNKNOWN"

    def __init__(
        self, reason: str, message: str, *, subject: str = "", fields: Mapping[str, str] | None = None,
        metadata: Mapping[str, str] | None = None,
    ) -> None:
        if reason not in REASONS:
            raise LookupError(f"unregistered error reason {reason!r}")
        super().__init__(message)
        self.reason = reason
        self.message = message
        self.subject = subject
        self.fields: dict[str, str] = dict(fields or {})
        self.metadata: dict[str, str] = dict(metadata or {})


class InvalidArgument(PliantError):
    code = "INVALID_ARGUMENT"


class NotFound(PliantError):
    code = "NOT_FOUND"


class AlreadyExists(PliantError):
    code = "ALREADY_EXISTS"


class FailedPrecondition(PliantError):
    code = "FAILED_PRECONDITION"


class Aborted(PliantError):
    code = "ABORTED"


class OutOfRange(PliantError):
    code = "OUT_OF_RANGE"


class ResourceExhausted(PliantError):
    code = "RESOURCE_EXHAUSTED"


class Internal(PliantError):
    code = "INTERNAL"


class Unavailable(PliantError):
    code = "UNAVAILABLE"


class Unauthenticated(PliantError):
    code = "UNAUTHENTICATED"
