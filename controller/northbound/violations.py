"""How converting refuses a field."""

from __future__ import annotations

from controller.model.errors import InvalidArgument


def invalid(reason: str, field: str, what: str) -> InvalidArgument:
    return InvalidArgument(reason, f"{field}: {what}", fields={field: what})


def missing(field: str, message: str) -> InvalidArgument:
    return InvalidArgument("MISSING_FIELD", message, fields={field: "is required"})


def shown(text: str) -> str:
    """What a client wrote, quoted, and not at any length."""
    return repr(text if len(text) <= 60 else f"{text[:57]}...")
