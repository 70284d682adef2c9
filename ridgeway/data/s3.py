"""S3: how a store there is opened, what its errors mean, and uploads that nobody ends.

Endpoint, region and credentials are the environment's, by the names that every tool of AWS knows:
AWS_ENDPOINT_URL, AWS_DEFAULT_REGION, AWS_ACCESS_KEY_ID and so on, profiles and roles.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from ridgeway.errors import InvalidInput

PART_BYTES = 16 * 2**20  # sent or fetched at once; the least that S3 takes is 5 MiB
MOST_PARTS = 10_000  # of one upload
AT_ONCE = 4  # parts under way at a time, which are in memory
TRIES = 3  # of a request, with pauses between, before the store counts as away

_URL = re.compile(r"s3a?://[A-Za-z0-9][A-Za-z0-9._-]+(/[^?#@]*)?")


def is_s3(url: str) -> bool:
    """Return True for what is meant as the URL of a store in S3."""
    return url.startswith(("s3:", "s3a:"))  # with a slash too few, too: that is no folder's name


def options(url: str) -> dict[str, Any]:
    """Return how s3fs opens the store; InvalidInput for a URL with more than a bucket and folder.

    Nothing is remembered of what was listed, and an endpoint that does not answer is given up soon.
    """
    if not _URL.fullmatch(url):
        message = "must be s3://BUCKET or s3://BUCKET/FOLDER; credentials come as AWS_ACCESS_KEY_ID"
        raise InvalidInput.of("RIDGEWAY_STORE_URL", "s3", f"{message} and AWS_SECRET_ACCESS_KEY")
    return {
        "use_listings_cache": False,
        "skip_instance_cache": True,  # an instance keeps the credentials of its first use
        "default_block_size": PART_BYTES,
        "max_concurrency": AT_ONCE,
        "config_kwargs": {"retries": {"mode": "standard", "max_attempts": TRIES}},
    }


def part_bytes(size: int) -> int:
    """Return the size of the parts in which a file of this size is sent."""
    return max(PART_BYTES, -(-size // MOST_PARTS))


# --- errors -----------------------------------------------------------------------------------

_KEYS = "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"
_NO_KEYS = f"there are no credentials; set {_KEYS}, or AWS_PROFILE, or give this machine a role"
_UNKNOWN_KEY = (
    "the access key is not known there; check AWS_ACCESS_KEY_ID, and that AWS_ENDPOINT_URL names "
    "the store that it is for"
)
_NOT_THE_KEYS = "the secret does not belong to the access key; check AWS_SECRET_ACCESS_KEY"
_NO_LONGER_GOOD = "the token has expired or is none; renew AWS_SESSION_TOKEN"
_FORBIDDEN = (
    "the credentials are wrong, or may not do that; check them, and that they may list the bucket "
    "and read, write and delete what lies in it (docs/operations.md)"
)
_NO_BUCKET = "there is no such bucket; make it, or check RIDGEWAY_STORE_URL and AWS_ENDPOINT_URL"
_REGION = "the bucket is in another region; set AWS_DEFAULT_REGION to its own"
_CLOCK = "this machine's clock is wrong by more than it allows; let it follow NTP"
_SILENT = "nothing answers there; check AWS_ENDPOINT_URL and the network between"
_NO_ENDPOINT = "AWS_ENDPOINT_URL is no URL; it must be https://HOST or http://HOST:PORT"
_NO_TLS = "its certificate can't be trusted; set AWS_CA_BUNDLE to its authority's"
_CUT = "the connection to it broke off"
_BUSY = "it is too busy; it is asked again"

_WORDS = {
    "NoCredentialsError": _NO_KEYS,
    "PartialCredentialsError": _NO_KEYS,
    "CredentialRetrievalError": _NO_KEYS,
    "ProfileNotFound": "AWS_PROFILE names no profile that there is",
    "NoAuthTokenError": _NO_KEYS,
    "InvalidAccessKeyId": _UNKNOWN_KEY,
    "SignatureDoesNotMatch": _NOT_THE_KEYS,
    "ExpiredToken": _NO_LONGER_GOOD,
    "InvalidToken": _NO_LONGER_GOOD,
    "InvalidClientTokenId": _NO_LONGER_GOOD,
    "AccessDenied": _FORBIDDEN,
    "AllAccessDisabled": _FORBIDDEN,
    "403": _FORBIDDEN,
    "NoSuchBucket": _NO_BUCKET,
    "PermanentRedirect": _REGION,
    "AuthorizationHeaderMalformed": _REGION,
    "IllegalLocationConstraintException": _REGION,
    "301": _REGION,
    "RequestTimeTooSkewed": _CLOCK,
    "Invalid endpoint": _NO_ENDPOINT,
    "SSLError": _NO_TLS,
    "EndpointConnectionError": _SILENT,
    "ConnectionClosedError": _SILENT,
    "HTTPClientError": _CUT,  # any other between it and us
    "ClientPayloadError": _CUT,
    "IncompleteReadError": _CUT,
    "ResponseStreamingError": _CUT,
    "ServerDisconnectedError": _CUT,
    "ConnectTimeoutError": _SILENT,
    "ReadTimeoutError": _SILENT,
    "FSTimeoutError": _SILENT,
    "SlowDown": _BUSY,
    "ServiceUnavailable": _BUSY,
    "503": _BUSY,
}
_PASSING = (_SILENT, _CUT, _BUSY, _CLOCK)


@dataclass(frozen=True)
class Meaning:
    """What an error of S3 means: a sentence that says what to do; whether waiting may mend it."""

    words: str
    passes: bool


def meaning(error: BaseException) -> Meaning | None:
    """Return what an error means that S3, or its library, gave; None for any other."""
    for name in _names(error):
        if name in _WORDS:
            return Meaning(_WORDS[name], _WORDS[name] in _PASSING)
    return None


def _names(error: BaseException | None) -> Iterator[str]:
    """Yield the codes and classes of an error and of what caused it: s3fs translates some."""
    while error is not None:
        response: Any = getattr(error, "response", None)
        if isinstance(response, dict):
            yield str(response.get("Error", {}).get("Code"))  # pyright: ignore
        if isinstance(error, ValueError):  # of botocore, which has no class for it
            yield str(error).partition(":")[0]
        yield from (each.__name__ for each in type(error).__mro__)
        error = error.__cause__


# --- uploads in parts -------------------------------------------------------------------------


@dataclass(frozen=True)
class Upload:
    """An upload in parts that is under way, or whose process died: S3 keeps the parts, unseen."""

    path: str  # bucket and key
    id: str
    begun: float  # seconds since 1970, by the store's clock


def uploads(files: Any, root: str) -> list[Upload]:
    """List the uploads in parts below a root that have not ended."""
    bucket, _, prefix = root.partition("/")
    found: list[Upload] = []
    place: dict[str, str] = {}
    while True:
        page: dict[str, Any] = files.call_s3(
            "list_multipart_uploads", Bucket=bucket, Prefix=f"{prefix}/" if prefix else "", **place
        )
        found += [_upload(bucket, each) for each in page.get("Uploads", ())]
        if not page.get("IsTruncated"):
            return found
        place = {"KeyMarker": page["NextKeyMarker"], "UploadIdMarker": page["NextUploadIdMarker"]}


def _upload(bucket: str, told: dict[str, Any]) -> Upload:
    begun: datetime = told["Initiated"]
    return Upload(f"{bucket}/{told['Key']}", told["UploadId"], begun.timestamp())


def abort(files: Any, upload: Upload) -> None:
    """Give an upload up; S3 forgets its parts."""
    bucket, _, key = upload.path.partition("/")
    files.call_s3("abort_multipart_upload", Bucket=bucket, Key=key, UploadId=upload.id)


def require_open(files: Any, root: str) -> None:
    """Ask for one key below the root; the error of S3 where that is not answered."""
    bucket, _, prefix = root.partition("/")
    files.call_s3("list_objects_v2", Bucket=bucket, Prefix=prefix, MaxKeys=1)
