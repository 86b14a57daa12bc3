"""The API (v2) of DefectDojo, as far as we use it.

From its published sources: the filter `name_exact` of products ignores case, those of engagements
and tests are exact; a test is made by `import-scan/` and filled again by `reimport-scan/`, whose
`close_old_findings` is true unless it is given.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, Final
from urllib.parse import urlencode

import attrs

from nessus_sched.config.delivery import DefectDojoSink
from nessus_sched.delivery.dojo.upload import Upload
from nessus_sched.delivery.requests import Client, Reply, failure_of
from nessus_sched.delivery.sinks.port import Failure, SinkFailed

SCAN_TYPE: Final = "Tenable Scan"
SECONDS: Final = 30.0
IMPORT_SECONDS: Final = 1800.0
"""DefectDojo answers when it has entered the whole report."""
OUR_TAG: Final = "nessus-sched"
_YEARS: Final = timedelta(days=3650)
_PREFIX: Final = "/api/v2"


@attrs.frozen(kw_only=True)
class DojoTest:
    """`ours`: it has our tag."""

    number: int
    description: str
    ours: bool


@attrs.frozen(kw_only=True)
class Dojo:
    """Every method raises `SinkFailed`."""

    client: Client
    settings: DefectDojoSink
    now: float

    async def engagement(self) -> int:
        """The number of the engagement; made if that is allowed, like its product."""
        product = await self._product()
        name = self.settings.engagement
        found = await self._find("engagements", {"product": product, "name": name}, "name", name)
        if found is not None:
            return _number(found)
        self._may_create("engagement", name)
        today = datetime.fromtimestamp(self.now, UTC).date()
        return await self._make(
            "engagements",
            {
                "name": name,
                "product": product,
                "target_start": str(today),
                "target_end": str(today + _YEARS),
                "status": "In Progress",
                "engagement_type": "CI/CD",
            },
        )

    async def test(self, engagement: int, title: str) -> DojoTest | None:
        query = {"engagement": engagement, "title": title}
        found = await self._find("tests", query, "title", title)
        if found is None:
            return None
        tags = found.get("tags")
        return DojoTest(
            number=_number(found),
            description=str(found.get("description") or ""),
            ours=isinstance(tags, list) and OUR_TAG in tags,
        )

    async def describe(self, test: int, description: str) -> None:
        await self._ask("PATCH", f"tests/{test}/", {"description": description})

    async def upload(self, upload: Upload, *, again: bool) -> None:
        route = "reimport-scan/" if again else "import-scan/"
        reply = await self.client.send(
            "POST",
            self._url(route),
            headers={**self._headers(), **upload.headers},
            body=upload.pieces(),
            seconds=IMPORT_SECONDS,
            read=True,
        )
        if not reply.success:
            raise _failed(reply, f"POST {route}")

    async def _product(self) -> int:
        name = self.settings.product
        found = await self._find("products", {"name_exact": name}, "name", name)
        if found is not None:
            return _number(found)
        self._may_create("product", name)
        body = {"name": name, "description": "Scanned with nessus-sched."}
        return await self._make("products", {**body, "prod_type": await self._product_type()})

    async def _product_type(self) -> int:
        name = self.settings.product_type
        found = await self._find("product_types", {"name": name}, "name", name)
        return (
            await self._make("product_types", {"name": name}) if found is None else _number(found)
        )

    def _may_create(self, what: str, name: str) -> None:
        if not self.settings.create:
            raise SinkFailed(
                f"DefectDojo has no {what} {name!r}: make one, or set `create: true`", Failure.HOLD
            )

    async def _find(
        self, what: str, query: Mapping[str, Any], key: str, wanted: str
    ) -> Mapping[str, Any] | None:
        """The first object whose `key` is `wanted`, preferably in the same case."""
        answer = await self._ask("GET", f"{what}/?{urlencode({**query, 'limit': 100})}")
        results = answer.get("results")
        if not isinstance(results, list):
            raise _nonsense(f"GET {what}/")
        named = [each for each in results if isinstance(each, dict) and _like(each, key, wanted)]
        exact = [each for each in named if each[key] == wanted]
        return next(iter([*exact, *named]), None)

    async def _make(self, what: str, body: Mapping[str, Any]) -> int:
        return _number(await self._ask("POST", f"{what}/", body))

    async def _ask(
        self, method: str, route: str, body: Mapping[str, Any] | None = None
    ) -> Mapping[str, Any]:
        headers = self._headers()
        if body is not None:
            headers["Content-Type"] = "application/json"
        reply = await self.client.send(
            method,
            self._url(route),
            headers=headers,
            body=b"" if body is None else json.dumps(body).encode(),
            seconds=SECONDS,
            read=True,
        )
        told = f"{method} {route.partition('?')[0]}"
        if not reply.success:
            raise _failed(reply, told)
        try:
            answer = json.loads(reply.body)
        except (ValueError, RecursionError):
            answer = None
        if not isinstance(answer, dict):
            raise _nonsense(told)
        return answer

    def _url(self, route: str) -> str:
        base = self.settings.url.rstrip("/").removesuffix(_PREFIX)
        return f"{base}{_PREFIX}/{route}"

    def _headers(self) -> dict[str, str]:
        return {
            "Accept": "application/json",
            "Authorization": f"Token {self.settings.token.reveal()}",
        }


def _like(each: Mapping[str, Any], key: str, wanted: str) -> bool:
    value = each.get(key)
    return isinstance(value, str) and value.lower() == wanted.lower()


def _number(found: Mapping[str, Any]) -> int:
    number = found.get("id")
    if not isinstance(number, int):
        raise _nonsense("an object")
    return number


def _failed(reply: Reply, told: str) -> SinkFailed:
    too_large = reply.status == 400 and b"too large" in reply.body.lower()
    failed = failure_of(reply, "it is too large for the server" if too_large else "")
    return SinkFailed(f"{failed} ({told})", failed.kind, failed.retry_after)


def _nonsense(told: str) -> SinkFailed:
    text = f"the answer to {told} is not one of DefectDojo's; is `url` correct?"
    return SinkFailed(text, Failure.TRY_AGAIN)
