"""The kinds of problems: one for each status that the service answers, with a page for people.

A problem's `type` is the address of its page, /problems/NAME; docs/problems.md has the same texts.
"""

from __future__ import annotations

from dataclasses import dataclass

PREFIX = "/problems/"
UNKNOWN = "about:blank"  # RFC 9457's own: the status says it all


@dataclass(frozen=True)
class ProblemType:
    """What a kind of problem means, and what whoever meets it can do."""

    status: int
    name: str
    meaning: str
    remedy: str

    @property
    def title(self) -> str:
        """Return its heading: Not found."""
        return self.name.replace("-", " ").capitalize()

    @property
    def uri(self) -> str:
        """Return what a problem's `type` is."""
        return PREFIX + self.name


_LIST = (
    ProblemType(
        400,
        "bad-request",
        "What came can't be read: a body that is no JSON or ends too early, a request that is not "
        "HTTP, or names no host.",
        "Read what the detail says of the place, and send the request again.",
    ),
    ProblemType(
        401,
        "unauthorized",
        "The service asks for a key, and the request has none that is valid.",
        "Send a key, as `Authorization: Bearer KEY`; RIDGEWAY_API_KEY does so for every client.",
    ),
    ProblemType(
        403,
        "forbidden",
        "Whoever asks may not do that: the key's scope is too small, the key has as many open "
        "jobs, trials or bytes as it may, or a page of another site sent the request.",
        "End or delete what is no longer needed, ask whoever runs the service for a key that may, "
        "or send it from the service's own page.",
    ),
    ProblemType(
        404,
        "not-found",
        "There is nothing at this address: no such job, trial or data set, or the job has no such "
        "file, at all or yet.",
        "Look at the list one level up; what a job has not yet comes with its answer.",
    ),
    ProblemType(
        405,
        "method-not-allowed",
        "The address is right, but it does not take this method.",
        "Use one of the methods that `Allow` names.",
    ),
    ProblemType(
        408,
        "request-timeout",
        "The request, or its body, came too slowly.",
        "Send it again, by a better connection.",
    ),
    ProblemType(
        409,
        "conflict",
        "The state of the thing forbids it: a job that has ended or has not yet, a name that is "
        "taken, a data set in use, or what another release wrote.",
        "The detail names the state and what it would have to be; look again, and change that "
        "first.",
    ),
    ProblemType(
        413,
        "content-too-large",
        "The body is larger than the service takes.",
        "Send less; RIDGEWAY_MAX_UPLOAD_BYTES and RIDGEWAY_MAX_BODY_BYTES are the limits.",
    ),
    ProblemType(
        415,
        "unsupported-media-type",
        "The body is of a kind that the address does not take.",
        "Set `Content-Type` to what the detail names; files are sent as they are, not in a form.",
    ),
    ProblemType(
        421,
        "misdirected-request",
        "The request names a host that the service does not go by.",
        "Use the service's own address, or have RIDGEWAY_HOSTS name this one.",
    ),
    ProblemType(
        422,
        "invalid-input",
        "A field is not what is accepted.",
        "`errors` lists each bad field with the value met and what would be accepted.",
    ),
    ProblemType(
        429,
        "too-many-requests",
        "The key has sent as many requests as it may in a minute, or too many keys that don't hold "
        "came from this address.",
        "Wait as long as `Retry-After` says; the detail names the limit.",
    ),
    ProblemType(
        431,
        "head-too-large",
        "The request's head is too large.",
        "Send fewer or shorter headers, or a shorter address.",
    ),
    ProblemType(
        500,
        "unexpected-error",
        "The service met an error of its own; its log says more.",
        "Tell whoever runs the service when it was and what was asked.",
    ),
    ProblemType(
        503,
        "unavailable",
        "A part of the service does not answer now, or is too busy: the database, the store, or "
        "too many at once. No worker is there, where that was asked.",
        "Try again, after `Retry-After` if it is there: nothing was changed.",
    ),
)

TYPES: dict[int, ProblemType] = {each.status: each for each in _LIST}
BY_NAME: dict[str, ProblemType] = {each.name: each for each in _LIST}


def uri_of(status: int) -> str:
    """Return the `type` of a problem with this status."""
    return TYPES[status].uri if status in TYPES else UNKNOWN
