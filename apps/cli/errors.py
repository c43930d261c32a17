"""What goes wrong, for people and for scripts: what, why, the next command, and an exit status by class of error."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from pliant import ApiError

EXIT_CODES = {
    0: "done",
    1: "an error of no other class",
    2: "wrong usage of this command",
    3: "not found",
    4: "exists already, or was changed by someone else",
    5: "the state does not allow it, or something is used up",
    6: "an invalid value, field or manifest",
    7: "the controller is out of reach, or the time is up",
    8: "not allowed: the token is missing or wrong",
}
OTHER, USAGE, NOT_FOUND, CONFLICT, PRECONDITION, INVALID, UNAVAILABLE, DENIED = range(1, 9)

_BY_GRPC_CODE = {
    "NOT_FOUND": NOT_FOUND,
    "ALREADY_EXISTS": CONFLICT,
    "ABORTED": CONFLICT,
    "FAILED_PRECONDITION": PRECONDITION,
    "RESOURCE_EXHAUSTED": PRECONDITION,
    "OUT_OF_RANGE": PRECONDITION,
    "INVALID_ARGUMENT": INVALID,
    "UNIMPLEMENTED": INVALID,
    "UNAVAILABLE": UNAVAILABLE,
    "DEADLINE_EXCEEDED": UNAVAILABLE,
    "UNAUTHENTICATED": DENIED,
    "PERMISSION_DENIED": DENIED,
}
_NEXT = {
    "NOT_FOUND": "pliant get all -t TENANT shows what there is",
    "PARENT_NOT_FOUND": "create it first, or put it into the same manifest; pliant get all shows what there is",
    "ALREADY_EXISTS": "change it with pliant set or pliant apply, or choose another name",
    "CIDR_OVERLAP": "pliant get subnets shows the ranges that are taken",
    "ADDRESS_IN_USE": "pliant get ports shows the addresses that are taken; without --ip a free one is assigned",
    "MAC_IN_USE": "pliant get ports shows the MACs that are taken; without --mac a free one is assigned",
    "SUBNET_EXHAUSTED": "delete ports, or create another subnet in the network",
    "HAS_CHILDREN": "delete them first, or add --force to delete them as well",
    "ATTACHMENT_IN_USE": "pliant get ports -o wide shows who is attached where",
    "ATTACHMENT_IS_FABRIC": "pliant get links shows it; if it is wrong: pliant set switch DPID --role INTERFACE=EDGE",
    "ETAG_MISMATCH": "read it again with pliant get -o yaml, and repeat the change",
    "QUOTA_EXCEEDED": "pliant set tenant NAME --max-ports N (--max-networks, --max-pipes ...) raises it",
    "NOT_PEERED": "pliant create peering NAME --between NETWORK NETWORK",
    "PEERING_EXISTS": "nothing more is needed: pliant get peerings shows the one that is there",
    "PIPE_EXISTS": "pliant set pipe changes the one that is there",
    "GUARANTEE_OVER_PARENT": "pliant describe shows what the tenant or network has; pliant set raises it",
    "GUARANTEE_OVER_CEILING": "pliant describe shows the ceiling; pliant set raises it",
    "WOULD_PARTITION": "pliant path A B shows what other paths there are; --force does it all the same",
    "WOULD_BREAK_GUARANTEES": "pliant describe shows who is guaranteed what; --force does it all the same",
    "PORT_NOT_BOUND": "pliant describe port NAME says why",
    "SWITCH_CONNECTED": "take its controller away first: ovs-vsctl del-controller BRIDGE",
    "UNAUTHENTICATED": "give --token-file with the file `token` of the controller's state directory",
}


class Failure(click.ClickException):
    """An error for the user.  `advice` is the next thing to do."""

    def __init__(self, message: str, exit_code: int = OTHER, *, advice: str = "") -> None:
        super().__init__(message)
        self.exit_code = exit_code  # type: ignore[misc]  # click means one per class; ours is per cause
        self.advice = advice

    def show(self, file: Any = None) -> None:
        click.echo(f"{click.style('error', fg='red')}: {self.message}", err=True, color=_colour())
        if self.advice:
            click.echo(f"{click.style('next', fg='cyan')}: {self.advice}", err=True, color=_colour())


def _colour() -> bool | None:
    from apps.cli.output import use_colour

    return use_colour("stderr")


def exit_code_of(error: click.ClickException) -> int:
    return error.exit_code


def translate(error: Exception) -> Failure | None:
    """What of a command's exceptions is for the user; None for a defect, which deserves its traceback."""
    if isinstance(error, OSError) and error.filename and not isinstance(error, BrokenPipeError):
        return Failure(f"{error.filename}: {error.strerror}")
    from pliant import ApiError

    return failure_of(error) if isinstance(error, ApiError) else None


def failure_of(error: ApiError) -> Failure:
    """The server's refusal, with each field that it names."""
    lines = [error.message]
    lines += [f"  {field}: {what}" for field, what in error.fields.items() if what not in error.message]
    code = error.code.name
    advice = _NEXT.get(error.reason, "")
    if code == "UNAVAILABLE" and not error.reason:
        advice = "is pliantd running?  --server or $PLIANT_SERVER names another one"
    return Failure("\n".join(lines), _BY_GRPC_CODE.get(code, OTHER), advice=advice)
