"""What the OpenAPI document says of keys: which calls need one, and the refusals of the door."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any

from fastapi import FastAPI

from service.access.door import is_open
from service.problems import problems

DOORS = (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN, HTTPStatus.TOO_MANY_REQUESTS)
KEY = {
    "type": "http",
    "scheme": "bearer",
    "description": "An API key, made by `ridgeway keys create`: `Authorization: Bearer rw_...`",
}


def describe_keys(app: FastAPI, closed: bool) -> None:
    """Declare the key, which an open service does not ask for."""
    describe = app.openapi

    def openapi() -> dict[str, Any]:
        document = describe()
        document["components"].setdefault("securitySchemes", {})["key"] = KEY
        document["security"] = [{"key": []}] if closed else [{}, {"key": []}]
        for path, operations in document["paths"].items():
            for operation in operations.values():
                if is_open(path):
                    operation["security"] = []
                    continue
                for status, told in problems(*DOORS).items():
                    operation["responses"].setdefault(str(int(status)), told)
        return document

    app.openapi = openapi  # FastAPI's documented way to extend the document
