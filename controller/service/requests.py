"""What a use case answers, and how the answer to a request_id is kept so that a repeated call gets it again."""

from __future__ import annotations

import json
from dataclasses import dataclass

from controller.intent.snapshot import Resource
from controller.model.errors import InvalidArgument
from controller.service.codec import encode, structure_resource
from controller.service.interfaces import Answer

KEPT_S = 24 * 3_600.0
"""How long an answer is kept at least."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What a use case did: the objects as they now stand, in the order asked, and the names that are gone.

    `generation` is the one to wait for.  `replayed`: this is the stored answer to an earlier call with the same
    request_id.
    """

    objects: tuple[Resource, ...] = ()
    deleted: tuple[str, ...] = ()
    generation: int
    replayed: bool = False


def keep(request_id: str, digest: bytes, outcome: Outcome, now_s: float) -> Answer:
    return Answer(request_id=request_id, digest=digest, response=encode(outcome), answered_s=now_s)


def replay(answer: Answer, digest: bytes) -> Outcome:
    """The outcome of the first call.  InvalidArgument REQUEST_ID_REUSED if that was a different request."""
    if answer.digest != digest:
        raise InvalidArgument(
            "REQUEST_ID_REUSED", f"request_id {answer.request_id} was used with a different request: use a new one",
            fields={"request_id": "belongs to a different request"},
        )
    data = json.loads(answer.response)
    objects = tuple(structure_resource(each, each["name"]) for each in data["objects"])
    return Outcome(objects=objects, deleted=tuple(data["deleted"]), generation=data["generation"], replayed=True)
