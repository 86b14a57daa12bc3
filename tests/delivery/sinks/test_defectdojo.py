"""DefectDojo: where scans go, what is closed and what never is, deaths in between, failures."""

from __future__ import annotations

import gzip
import tracemalloc
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from functools import partial
from io import BytesIO
from itertools import count
from pathlib import Path
from typing import Any, BinaryIO, Final

import attrs
import pytest
import trio

from nessus_sched.config.delivery import DefectDojoSink, SinkSettings
from nessus_sched.config.scanners import TlsSettings
from nessus_sched.config.types import Severity
from nessus_sched.core.delivery.message import Message, MessageKind
from nessus_sched.core.secret import Secret
from nessus_sched.core.store_errors import StoreError, StoreUnavailable
from nessus_sched.delivery.dojo.upload import PIECE, merged
from nessus_sched.delivery.kept_scans import KeptScan, ScanGone
from nessus_sched.delivery.sinks.open import sink_for
from nessus_sched.delivery.sinks.port import Failure, Sink, SinkFailed
from nessus_sched.store.exports import open_export
from support.counterparts import Answer, Handle, Request, message, raw_server, web_server
from support.dojo import Dojo, reported
from support.tls_server import by_trustme

TOKEN: Final = "0123456789abcdef-the-api-key"
NOW: Final = 1_790_000_000.0
NETWORK: Final = ("192.0.2.0/24",)
A, B, C = ("11", "192.0.2.1"), ("12", "192.0.2.1"), ("11", "192.0.2.2")
"""Findings: plugin and host."""


def report(*findings: tuple[str, str], severity: int = 2, policy: str = "") -> bytes:
    hosts = {host for _, host in findings}
    told = "".join(
        f'<ReportHost name="{host}"><HostProperties/>'
        + "".join(
            f'<ReportItem port="0" svc_name="general" protocol="tcp" severity="{severity}" '
            f'pluginID="{plugin}" pluginName="a &lt;/Report&gt; b" pluginFamily="F"/>'
            for plugin, its in findings
            if its == host
        )
        + "</ReportHost>\n"
        for host in sorted(hosts)
    )
    return (
        f'<?xml version="1.0" ?>\n<NessusClientData_v2>\n<Policy>{policy}</Policy>\n'
        f'<Report name="a > b" xmlns:cm="http://www.nessus.org/cm">\n{told}</Report>\n'
        "</NessusClientData_v2>\n"
    ).encode()


@contextmanager
def opened(content: bytes) -> Iterator[BinaryIO]:
    yield BytesIO(content)


def scan(task_id: str, *reports: bytes, **changes: Any) -> KeptScan:
    made = KeptScan(
        task_id=task_id,
        title="weekly DMZ",
        way="basic",
        targets=NETWORK,
        ended=NOW - 60,
        reports=tuple(partial(opened, each) for each in reports),
        doubt=None,
    )
    return attrs.evolve(made, **changes)


@attrs.define
class Scans:
    known: dict[str, KeptScan | Exception] = attrs.field(factory=dict)

    def add(self, made: KeptScan) -> Message:
        self.known[made.task_id] = made
        return message(task_id=made.task_id)

    async def scan(self, task_id: str) -> KeptScan | None:
        found = self.known.get(task_id)
        if isinstance(found, Exception):
            raise found
        return found


@attrs.define
class Place:
    """A DefectDojo, the scans there are, and the sink between them."""

    dojo: Dojo
    scans: Scans
    sink: Sink

    async def deliver(self, made: KeptScan) -> None:
        await self.sink.deliver(self.scans.add(made))

    @property
    def description(self) -> list[str]:
        return str(self.dojo.tables["tests"][0]["description"]).splitlines()


def settings(port: int, scheme: str = "http", **changes: Any) -> DefectDojoSink:
    made = DefectDojoSink(
        url=f"{scheme}://127.0.0.1:{port}",
        token=Secret(TOKEN),
        product="Network",
        create=True,
        tags=("dmz", "infra"),
    )
    return attrs.evolve(made, **changes)


def sink_to(made: DefectDojoSink, scans: Scans) -> Sink:
    return sink_for(SinkSettings(name="dojo", defectdojo=made), wall=lambda: NOW, scans=scans)


@pytest.fixture
async def place() -> object:
    dojo, scans = Dojo(TOKEN), Scans()
    async with web_server(dojo) as port:
        yield Place(dojo, scans, sink_to(settings(port), scans))


async def failure_from(handle: Handle, **changes: Any) -> SinkFailed:
    scans = Scans()
    async with web_server(handle) as port:
        sink = sink_to(settings(port, **changes), scans)
        with pytest.raises(SinkFailed) as failed:
            await sink.deliver(scans.add(scan("t-1", report(A))))
    assert TOKEN not in f"{failed.value!r} {failed.value.__context__!r}"
    return failed.value


async def test_the_first_scan_makes_everything(place: Place) -> None:
    await place.deliver(scan("t-1", report(A, B), ended=NOW - 3 * 86400))
    tables = place.dojo.tables
    assert [row["name"] for row in tables["product_types"]] == ["Infrastructure"]
    assert [(row["name"], row["prod_type"]) for row in tables["products"]] == [("Network", 1)]
    assert [(row["name"], row["product"]) for row in tables["engagements"]] == [("nessus-sched", 1)]
    assert place.dojo.active("weekly DMZ") == {A, B}
    assert place.dojo.imports == [
        {
            "scan_type": "Tenable Scan",
            "minimum_severity": "Low",
            "close_old_findings": "false",
            "build_id": "t-1",
            "tags": ["nessus-sched", "dmz", "infra"],
            "engagement": "1",
            "test_title": "weekly DMZ",
            "scan_date": "2026-09-18",
            "file": "t-1.nessus",
        }
    ]
    assert place.description == [
        "nessus-sched targets: 192.0.2.0/24",
        "nessus-sched scans: basic, from low",
    ]


async def test_names_are_found_in_any_case_and_each_title_has_a_test(place: Place) -> None:
    place.dojo.tables["products"].append({"id": 1, "name": "NETWORK", "prod_type": 1})
    await place.deliver(scan("t-1", report(A)))
    await place.deliver(scan("t-2", report(B), title="monthly"))
    assert [row["name"] for row in place.dojo.tables["products"]] == ["NETWORK"]
    assert [row["title"] for row in place.dojo.tables["tests"]] == ["weekly DMZ", "monthly"]
    assert place.dojo.active("monthly") == {B}


async def test_a_message_delivered_twice_changes_nothing(place: Place) -> None:
    made = scan("t-1", report(A, B))
    await place.deliver(made)
    await place.deliver(made)
    await place.deliver(made)
    assert place.dojo.active("weekly DMZ") == {A, B}
    assert len(place.dojo.tables["tests"]) == 1


async def test_a_whole_scan_closes_what_is_gone_and_opens_what_is_back(place: Place) -> None:
    await place.deliver(scan("t-1", report(A, B, C)))
    await place.deliver(scan("t-2", report(A)))
    assert place.dojo.active("weekly DMZ") == {A}
    await place.deliver(scan("t-3", report(A, B)))
    assert place.dojo.active("weekly DMZ") == {A, B}


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"doubt": "logins failed"}, "logins failed"),
        ({"targets": ("192.0.2.0/25",)}, "it had fewer targets than earlier scans"),
    ],
)
async def test_any_other_scan_closes_nothing(
    changes: dict[str, Any], why: str, place: Place
) -> None:
    await place.deliver(scan("t-1", report(A, B)))
    await place.deliver(scan("t-2", report(C), **changes))
    assert place.dojo.active("weekly DMZ") == {A, B, C}
    assert place.description[-1].startswith(f"nessus-sched note: t-2 closed nothing: {why}")
    await place.deliver(scan("t-3", report(A)))
    assert place.dojo.active("weekly DMZ") == {A}
    assert len(place.description) == 2


async def test_scans_of_several_kinds_never_close(place: Place) -> None:
    await place.deliver(scan("t-1", report(A, B)))
    await place.deliver(scan("t-2", report(C), way="quick"))
    await place.deliver(scan("t-3", report(A)))
    await place.deliver(scan("t-4", report(A)))
    assert place.dojo.active("weekly DMZ") == {A, B, C}
    assert place.description[1:] == [
        "nessus-sched scans: of several kinds",
        "nessus-sched note: t-4 closed nothing: not all earlier scans looked for the same things",
    ]


async def test_fewer_targets_never_close_and_more_targets_do(place: Place) -> None:
    await place.deliver(scan("t-1", report(A, B)))
    narrow = ("192.0.2.1",)
    for task_id in ("t-2", "t-3", "t-4"):
        await place.deliver(scan(task_id, report(), targets=narrow))
    assert place.dojo.active("weekly DMZ") == {A, B}
    await place.deliver(scan("t-5", report(A), targets=("192.0.0.0/16", "web.example.com")))
    assert place.dojo.active("weekly DMZ") == {A}
    await place.deliver(scan("t-6", report(), targets=("192.0.0.0/16",)))
    assert place.dojo.active("weekly DMZ") == {A}


async def test_a_person_can_start_a_test_anew(place: Place) -> None:
    await place.deliver(scan("t-1", report(A, B)))
    await place.deliver(scan("t-2", report(A), targets=("192.0.2.1",)))
    test = place.dojo.tables["tests"][0]
    test["description"] = "Ours.\nDo not touch."
    await place.deliver(scan("t-3", report(A), targets=("192.0.2.1",)))
    assert place.dojo.active("weekly DMZ") == {A, B}
    assert place.description[:3] == [
        "Ours.",
        "Do not touch.",
        "nessus-sched targets: 192.0.2.1",
    ]
    await place.deliver(scan("t-4", report(A), targets=("192.0.2.1",)))
    assert place.dojo.active("weekly DMZ") == {A}


async def test_what_others_imported_is_never_closed(place: Place) -> None:
    await place.deliver(scan("t-1", report(A)))
    test = place.dojo.tables["tests"][0]
    test |= {"description": "Imported by hand.", "tags": []}
    for task_id in ("t-2", "t-3", "t-4"):
        await place.deliver(scan(task_id, report(C)))
    assert place.dojo.active("weekly DMZ") == {A, C}


async def test_very_many_targets_are_not_listed_and_nothing_is_closed(place: Place) -> None:
    many = tuple(f"h{n}.example.com" for n in range(2000))
    await place.deliver(scan("t-1", report(A), targets=many))
    await place.deliver(scan("t-2", report(C), targets=many))
    assert place.dojo.active("weekly DMZ") == {A, C}
    assert place.description[0] == "nessus-sched targets: too many to list"


async def test_the_parts_of_a_task_are_one_report(place: Place) -> None:
    await place.deliver(scan("t-1", report(A, B), report(), report(C)))
    assert place.dojo.active("weekly DMZ") == {A, B, C}
    assert len(place.dojo.imports) == 1
    await place.deliver(scan("t-2", report(), report(C)))
    assert place.dojo.active("weekly DMZ") == {C}


def test_the_end_of_a_report_is_its_last_one() -> None:
    odd = report(A).replace(b"<HostProperties/>", b"<note><![CDATA[</Report>]]></note>")
    empty = b"<NessusClientData_v2><Report></Report></NessusClientData_v2>"
    pieces = list(merged([partial(opened, each) for each in (odd, empty, report(C))]))
    assert reported(b"".join(pieces), 0) == {A, C}
    assert all(pieces)  # an empty one would be taken for the end


async def test_severities_below_the_least_are_left_out() -> None:
    dojo, scans = Dojo(TOKEN), Scans()
    async with web_server(dojo) as port:
        made = settings(port, severity=Severity.HIGH)
        sink = sink_to(made, scans)
        await sink.deliver(scans.add(scan("t-1", report(A, severity=3))))
        await sink.deliver(scans.add(scan("t-2", report(C, severity=2))))
        assert dojo.active("weekly DMZ") == set()
        await sink.deliver(scans.add(scan("t-3", report(A, severity=3))))
        # From now on fewer are imported: what is left out is not fixed.
        sink = sink_to(attrs.evolve(made, severity=Severity.CRITICAL), scans)
        await sink.deliver(scans.add(scan("t-4", report(A, severity=3))))
    assert dojo.active("weekly DMZ") == {A}


async def test_a_digest_imports_its_tasks_and_a_sample_only_tries_the_login(place: Place) -> None:
    place.scans.add(scan("t-1", report(A)))
    place.scans.add(scan("t-2", report(B), title="monthly"))
    document = {"tasks": [{"task_id": "t-1"}, {"task_id": "t-2"}, {"task_id": "none"}]}
    await place.sink.deliver(message(document, kind=MessageKind.SAMPLE))
    assert place.dojo.imports == []
    assert place.dojo.requests
    await place.sink.deliver(message(document, kind=MessageKind.DIGEST))
    assert [form["build_id"] for form in place.dojo.imports] == ["t-1", "t-2"]
    place.dojo.requests.clear()
    await place.sink.deliver(message({"events": []}))
    assert place.dojo.requests == []


@attrs.define
class Dying:
    """A DefectDojo whose connection breaks at a request, before or after it has taken effect."""

    dojo: Dojo
    left: int
    after: bool

    async def __call__(self, request: Request) -> Answer:
        self.left -= 1
        if self.left == 0:
            if self.after:
                self.dojo(request)
            raise EOFError
        return self.dojo(request)


@pytest.mark.slow
@pytest.mark.parametrize("after", [False, True])
async def test_a_death_at_any_moment_closes_nothing_and_loses_nothing(after: bool) -> None:
    first, narrow = scan("t-1", report(A, B)), scan("t-2", report(C), targets=("192.0.2.2",))
    for step in count(1):
        dojo, scans = Dojo(TOKEN), Scans()
        dying = Dying(dojo, step, after)
        async with web_server(dying) as port:
            sink = sink_to(settings(port), scans)
            for made in (first, narrow):
                for _ in range(2):
                    with suppress(SinkFailed):
                        await sink.deliver(scans.add(made))
                        break
        assert dojo.active("weekly DMZ") == {A, B, C}
        assert len(dojo.tables["tests"]) == 1
        if dying.left > 0:
            break
    assert step > 15


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (301, Failure.HOLD),
        (400, Failure.REFUSED),
        (401, Failure.HOLD),
        (403, Failure.HOLD),
        (404, Failure.HOLD),
        (413, Failure.REFUSED),
        (429, Failure.TRY_AGAIN),
        (500, Failure.TRY_AGAIN),
    ],
)
@pytest.mark.parametrize("where", ["/products/", "/import-scan/"])
async def test_statuses(where: str, status: int, kind: Failure) -> None:
    dojo = Dojo(TOKEN)

    def answer(request: Request) -> Answer:
        if where in request.path:
            return Answer(status, TOKEN.encode(), {"Retry-After": "77"})
        return dojo(request)

    failed = await failure_from(answer)
    assert str(failed).startswith(f"HTTP status {status}")
    assert str(failed).endswith(f"{where.strip('/')}/)")
    assert (failed.kind, failed.retry_after) == (kind, 77.0)


async def test_a_wrong_token_and_a_report_that_is_too_large() -> None:
    wrong = await failure_from(Dojo("another token"))
    assert str(wrong) == ("HTTP status 401: the server does not accept our login (GET products/)")
    dojo = Dojo(TOKEN)
    large = await failure_from(
        lambda request: (
            Answer(400, b'["Report file is too large. Maximum supported size is 100 MB"]')
            if "import-scan" in request.path
            else dojo(request)
        )
    )
    assert str(large) == "HTTP status 400: it is too large for the server (POST import-scan/)"


@pytest.mark.parametrize(
    "body",
    [b"", b"<html>Sign in</html>", b"[]", b"{}", b'{"results": 7}', b"[" * 100_000, b"\xff"],
)
async def test_answers_that_are_not_those_of_a_defectdojo(body: bytes) -> None:
    failed = await failure_from(lambda _: Answer(200, body))
    assert "the answer to GET products/ is not one of DefectDojo's" in str(failed)


async def test_objects_without_a_number() -> None:
    failed = await failure_from(lambda _: Answer(200, b'{"results": [{"name": "Network"}]}'))
    assert failed.kind is Failure.TRY_AGAIN


async def test_an_endless_answer() -> None:
    failed = await failure_from(lambda _: Answer(200, b"x" * (2 * 2**20)))
    assert "larger than" in str(failed)


async def test_what_may_not_be_created_is_named() -> None:
    dojo = Dojo(TOKEN)
    no_product = await failure_from(dojo, create=False)
    assert str(no_product) == (
        "DefectDojo has no product 'Network': make one, or set `create: true`"
    )
    assert no_product.kind is Failure.HOLD
    dojo.tables["products"].append({"id": 1, "name": "Network"})
    no_engagement = await failure_from(dojo, create=False)
    assert "no engagement 'nessus-sched'" in str(no_engagement)
    assert not any(name.startswith("POST") for name in dojo.requests)


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (ScanGone("the reports of task t-1 are no longer kept"), Failure.REFUSED),
        (StoreUnavailable("the disk is full"), Failure.TRY_AGAIN),
    ],
)
async def test_reports_that_cannot_be_had(error: Exception, kind: Failure, place: Place) -> None:
    place.scans.known["t-1"] = error
    with pytest.raises(SinkFailed) as failed:
        await place.sink.deliver(message(task_id="t-1"))
    assert (str(failed.value), failed.value.kind) == (str(error), kind)


@pytest.mark.parametrize("content", [b"", b"<x/>", report(A)[:-200], b"<Report name='a'>"])
async def test_reports_that_are_cut_off(content: bytes, place: Place) -> None:
    with pytest.raises(SinkFailed, match=r"task t-1: .* has no (beginning|end)") as failed:
        await place.deliver(scan("t-1", report(A), content))
    assert failed.value.kind is Failure.REFUSED
    assert place.dojo.imports == []


async def test_a_damaged_export(place: Place, tmp_path: Path) -> None:
    path = tmp_path / "t-1.nessus.gz"
    path.write_bytes(gzip.compress(report(A) * 100)[:-20])
    made = scan("t-1", reports=(partial(open_export, path),))
    with pytest.raises(SinkFailed, match="is damaged") as failed:
        await place.deliver(made)
    assert failed.value.kind is Failure.REFUSED


async def test_a_report_that_vanishes_while_it_is_sent(place: Place) -> None:
    opens = 0

    @contextmanager
    def source() -> Iterator[BinaryIO]:
        nonlocal opens
        opens += 1
        if opens > 1:
            raise StoreError("the export is not stored")
        yield BytesIO(report(A))

    with pytest.raises(SinkFailed, match="is not stored") as failed:
        await place.deliver(scan("t-1", reports=(source,)))
    assert failed.value.kind is Failure.REFUSED


async def test_a_server_that_is_down_or_slow_or_shows_another_certificate(
    autojump_clock: object, tmp_path: Path
) -> None:
    async def ignore(stream: trio.SocketStream) -> None:
        await trio.sleep_forever()

    scans = Scans()
    made = scans.add(scan("t-1", report(A)))
    async with raw_server(ignore) as port:
        slow = sink_to(settings(port), scans)
        with pytest.raises(SinkFailed, match=r"no answer within 30 s|too long") as failed:
            await slow.deliver(made)
        assert failed.value.kind is Failure.TRY_AGAIN
        with trio.move_on_after(1) as scope:
            await slow.deliver(made)
        assert scope.cancelled_caught
    with pytest.raises(SinkFailed, match="connection refused") as failed:
        await slow.deliver(made)
    assert failed.value.kind is Failure.TRY_AGAIN
    shown = by_trustme("127.0.0.1")
    async with web_server(Dojo(TOKEN), shown.context) as port:
        tls = TlsSettings(ca_file=shown.ca_file(tmp_path))
        with pytest.raises(SinkFailed, match="is not trusted") as failed:
            await sink_to(settings(port, "https"), scans).deliver(made)
        assert failed.value.kind is Failure.HOLD
        await sink_to(settings(port, "https", tls=tls), scans).deliver(message())


@attrs.define
class Long:
    """A report of about `size` bytes, made while it is read."""

    size: int

    def __call__(self) -> AbstractContextManager[BinaryIO]:
        return self._open()

    @contextmanager
    def _open(self) -> Iterator[BinaryIO]:
        start, end = report(A).split(b"</Report>")
        yield Pieces([start, b" " * PIECE, b"</Report>" + end], self.size // PIECE)


class Pieces(BytesIO):
    def __init__(self, parts: Sequence[bytes], times: int) -> None:
        super().__init__()
        self.left = iter([parts[0], *[parts[1]] * times, parts[2]])

    def read(self, size: int | None = -1) -> bytes:
        return next(self.left, b"")


async def test_a_report_is_not_held_in_memory() -> None:
    size, received = 48 * 2**20, 0
    dojo = Dojo(TOKEN)

    async def take(stream: trio.SocketStream) -> None:
        nonlocal received
        held = b""
        while b"\r\n\r\n" not in held:
            held += await stream.receive_some()
        if b"import-scan" in held:
            received = len(held)
            while received < size:
                received += len(await stream.receive_some())
            await stream.send_all(b"HTTP/1.1 500 X\r\nContent-Length: 0\r\n\r\n")
        else:
            rows = b'{"results": [{"id": 1, "name": "Network"}]}'
            rows = b'{"results": []}' if b"/tests/" in held else rows
            rows = rows.replace(b"Network", b"nessus-sched") if b"/engagements/" in held else rows
            await stream.send_all(
                b"HTTP/1.1 200 X\r\nConnection: close\r\nContent-Length: %d\r\n\r\n%s"
                % (len(rows), rows)
            )
        await stream.aclose()

    scans = Scans()
    made = scans.add(scan("t-1", reports=(Long(size),)))
    async with raw_server(take) as port:
        tracemalloc.start()
        try:
            with pytest.raises(SinkFailed, match="500"):
                await sink_to(settings(port), scans).deliver(made)
            peak = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
    assert received >= size
    assert peak < 8 * 2**20
    assert dojo.imports == []
