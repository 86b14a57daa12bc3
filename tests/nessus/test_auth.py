"""Being let in: keys, sessions that expire, the token of the web UI, refused logins."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import httpx
import pytest
import trio

from nessus_sched.config.scanners import ApiKeys
from nessus_sched.core.scanner import (
    ApiRefused,
    LoginRefused,
    NotReady,
    OutcomeUnknown,
    TransientError,
    Unreachable,
)
from nessus_sched.core.secret import Secret
from support.scripted_nessus import (
    CANARIES,
    KEYS,
    UUID,
    Raw,
    Reply,
    ScriptedNessus,
    created,
    no_secrets,
    order,
    scanner,
)
from support.scripted_nessus import USER as PERSON

OLD = "778F4A9C-D797-4817-B110-EC427B724486"
NEW = "11112222-3333-4444-5555-66667777aaaa"
FUNCTIONS = 'value:function(){return"%s"}'
LURES = "".join(FUNCTIONS % word for word in ("top", "nessuscli", "winter", NEW.replace("1", "9")))


def bundle(token: str, *, filler: int = 200_000) -> Raw:
    """The web UI's JavaScript, cut into pieces at awkward places."""
    text = "x" * filler + LURES + '{key:"getApiToken",' + FUNCTIONS % token + "}" + LURES
    raw = text.encode()
    return Raw(pieces=[raw[start : start + 50] for start in range(filler - 50, len(raw), 50)])


def sessions(nessus: ScriptedNessus, *tokens: str) -> None:
    nessus.on("POST /session", *({"token": token} for token in tokens))


def guarded(valid: Callable[[httpx.Request], bool], reply: Reply, refusal: int = 401) -> Reply:
    def answer(request: httpx.Request) -> Any:
        return reply if valid(request) else (refusal, {"error": "Invalid Credentials"})

    return answer


def empty_list() -> dict[str, Any]:
    return {"folders": [], "scans": None}


async def test_keys_are_sent_with_each_call_but_to_public_pages() -> None:
    nessus = ScriptedNessus()
    await scanner(nessus).info()
    asked = {request.url.path: request for request in nessus.requests}
    expected = f"accessKey={CANARIES[0]}; secretKey={CANARIES[1]}"
    assert asked["/server/properties"].headers["X-ApiKeys"] == expected
    assert "X-ApiKeys" not in asked["/server/status"].headers
    assert not nessus.asked("POST /session")


async def test_wrong_keys() -> None:
    nessus = ScriptedNessus()
    nessus.on("GET /scans", (401, {"error": "Invalid Credentials"}))
    with pytest.raises(LoginRefused, match="Invalid Credentials") as caught:
        await scanner(nessus).list_scans()
    no_secrets(caught.value)
    assert len(nessus.requests) == 1


@pytest.mark.parametrize("bad", ["with\nnewline", "umläut", "\x00"])
async def test_keys_that_cannot_be_sent_are_not_quoted(bad: str) -> None:
    keys = ApiKeys(access_key=Secret(CANARIES[0] + bad), secret_key=KEYS.secret_key)
    with pytest.raises(LoginRefused) as caught:
        await scanner(ScriptedNessus(), auth=keys).list_scans()
    no_secrets(caught.value)


async def test_wrong_keys_are_noticed_when_the_properties_are_public() -> None:
    nessus = ScriptedNessus()
    nessus.on("GET /settings/advanced", (401, {"error": "Invalid Credentials"}))
    with pytest.raises(LoginRefused):
        await scanner(nessus).info()


async def test_one_session_for_many_calls_at_once() -> None:
    nessus = ScriptedNessus()
    client = scanner(nessus, auth=PERSON)
    async with trio.open_nursery() as nursery:
        for _ in range(10):
            nursery.start_soon(client.list_scans)
    assert len(nessus.asked("POST /session")) == 1
    assert nessus.sent("POST /session") == {"username": "scheduler", "password": CANARIES[2]}
    cookies = {request.headers["X-Cookie"] for request in nessus.asked("GET /scans")}
    assert cookies == {f"token={CANARIES[3]}"}


async def test_an_expired_session_is_remade_once_for_all(autojump_clock: trio.abc.Clock) -> None:
    nessus = ScriptedNessus()
    sessions(nessus, "first", "second")
    client = scanner(nessus, auth=PERSON)
    await client.list_scans()
    fresh = guarded(lambda request: request.headers["X-Cookie"] == "token=second", empty_list())
    nessus.on("GET /scans", fresh)
    async with trio.open_nursery() as nursery:
        for _ in range(10):
            nursery.start_soon(client.list_scans)
    assert len(nessus.asked("POST /session")) == 2


async def test_a_change_refused_for_its_session_is_sent_again() -> None:
    nessus = ScriptedNessus()
    sessions(nessus, "first", "second")
    nessus.on("GET /nessus6.js", bundle(OLD))
    refused = (401, {"error": "Invalid Credentials"})
    nessus.on("POST /scans/7/launch", refused, {"scan_uuid": UUID})
    assert await scanner(nessus, auth=PERSON).launch(7, ("[ns:task.1]",)) == UUID
    assert len(nessus.asked("POST /scans/7/launch")) == 2


async def test_a_session_that_is_never_accepted_ends_after_one_new_login() -> None:
    nessus = ScriptedNessus()
    nessus.on("GET /scans", (401, {"error": "Invalid Credentials"}))
    with pytest.raises(LoginRefused):
        await scanner(nessus, auth=PERSON).list_scans()
    assert len(nessus.asked("POST /session")) == 2
    assert len(nessus.asked("GET /scans")) == 2


@pytest.mark.parametrize("status", [400, 401, 403])
async def test_a_refused_login_is_never_tried_again(status: int) -> None:
    nessus = ScriptedNessus()
    nessus.on("POST /session", (status, {"error": f"no: {CANARIES[2]}"}))
    client = scanner(nessus, auth=PERSON)
    for _ in range(5):
        with pytest.raises(LoginRefused, match="not tried again") as caught:
            await client.list_scans()
        no_secrets(caught.value)
    async with trio.open_nursery() as nursery:
        for _ in range(5):
            nursery.start_soon(_refused, client.list_scans)
    assert len(nessus.asked("POST /session")) == 1


async def _refused(act: Callable[[], Any]) -> None:
    with pytest.raises(LoginRefused):
        await act()


@pytest.mark.parametrize(
    ("reply", "kind"),
    [
        ((503, ""), NotReady),
        ((500, {"error": "too many sessions"}), TransientError),
        (httpx.ReadError(""), Unreachable),
        ({"token": 7}, TransientError),
        ({"token": "two\nlines"}, TransientError),
        ((200, "<html>"), TransientError),
    ],
)
async def test_a_login_that_fails_otherwise_is_tried_again(reply: Reply, kind: type) -> None:
    nessus = ScriptedNessus()
    nessus.on("POST /session", reply, {"token": CANARIES[3]})
    client = scanner(nessus, auth=PERSON)
    with pytest.raises(TransientError) as caught:
        await client.create_scan(order())
    assert type(caught.value) is kind
    no_secrets(caught.value)
    assert await client.list_scans()


@pytest.mark.parametrize("token", [OLD, OLD.lower()])
async def test_the_token_of_the_web_ui_goes_with_changes_only(token: str) -> None:
    nessus = ScriptedNessus()
    nessus.on("GET /nessus6.js", bundle(token))
    nessus.on("POST /scans", created())
    client = scanner(nessus, auth=PERSON)
    await client.list_scans()
    assert not nessus.asked("GET /nessus6.js")
    await client.create_scan(order())
    await client.create_scan(order())
    assert len(nessus.asked("GET /nessus6.js")) == 1
    sent = nessus.asked("POST /scans")[-1].headers
    assert sent["X-API-Token"] == token
    assert sent["X-Cookie"] == f"token={CANARIES[3]}"
    assert "X-API-Token" not in nessus.asked("GET /folders")[-1].headers


async def test_a_new_token_is_fetched_when_the_old_one_is_refused() -> None:
    nessus = ScriptedNessus()
    nessus.on("GET /nessus6.js", bundle(OLD), bundle(NEW))
    new = guarded(lambda request: request.headers["X-API-Token"] == NEW, created(), 412)
    nessus.on("POST /scans", new)
    assert (await scanner(nessus, auth=PERSON).create_scan(order())).scan_id == 7


async def test_session_and_token_may_be_outdated_at_once() -> None:
    nessus = ScriptedNessus()
    sessions(nessus, "first", "second")
    nessus.on("GET /nessus6.js", bundle(OLD), bundle(NEW))
    nessus.on("POST /scans/7/launch", (401, ""), (412, ""), {"scan_uuid": UUID})
    assert await scanner(nessus, auth=PERSON).launch(7, ("[ns:task.1]",)) == UUID
    headers = nessus.asked("POST /scans/7/launch")[-1].headers
    assert (headers["X-Cookie"], headers["X-API-Token"]) == ("token=second", NEW)


async def test_a_token_that_is_current_and_refused_is_the_license() -> None:
    nessus = ScriptedNessus()
    nessus.on("GET /nessus6.js", bundle(OLD))
    nessus.on("POST /scans", (412, {"error": "API is not available"}))
    with pytest.raises(ApiRefused):
        await scanner(nessus, auth=PERSON).create_scan(order())
    assert len(nessus.asked("POST /scans")) == 1


async def test_a_lost_answer_makes_the_token_suspect() -> None:
    nessus = ScriptedNessus()
    nessus.on("GET /nessus6.js", bundle(OLD), bundle(NEW))
    nessus.on("POST /scans", httpx.RemoteProtocolError("cut"), created())
    client = scanner(nessus, auth=PERSON)
    with pytest.raises(OutcomeUnknown):
        await client.create_scan(order())
    await client.create_scan(order())
    assert nessus.asked("POST /scans")[-1].headers["X-API-Token"] == NEW


async def test_a_web_ui_without_a_token() -> None:
    nessus = ScriptedNessus()
    nessus.on("GET /nessus6.js", Raw(pieces=[b"x" * 10_000, LURES.encode()]))
    with pytest.raises(ApiRefused, match="X-API-Token"):
        await scanner(nessus, auth=PERSON).create_scan(order())
    nessus.on("GET /nessus6.js", (200, "<html>come back later</html>"))
    with pytest.raises(TransientError, match="something other"):
        await scanner(nessus, auth=PERSON).create_scan(order())
    assert not nessus.asked("POST /scans")
    nessus.on("GET /nessus6.js", (503, ""))
    with pytest.raises(NotReady):
        await scanner(nessus, auth=PERSON).create_scan(order())


async def test_closing_logs_out() -> None:
    nessus = ScriptedNessus()
    client = scanner(nessus, auth=PERSON)
    await client.close()
    assert not nessus.requests
    client = scanner(nessus, auth=PERSON)
    await client.list_scans()
    await client.close()
    assert nessus.asked("DELETE /session")[0].headers["X-Cookie"] == f"token={CANARIES[3]}"


async def test_closing_does_not_wait_for_a_dead_scanner(autojump_clock: trio.abc.Clock) -> None:
    nessus = ScriptedNessus()
    client = scanner(nessus, auth=PERSON)
    await client.list_scans()
    nessus.on("DELETE /session", Raw(pieces=[b"x"], pause=1000))
    began = trio.current_time()
    await client.close()
    assert trio.current_time() - began < 5


async def test_closing_survives_an_error() -> None:
    nessus = ScriptedNessus()
    client = scanner(nessus, auth=PERSON)
    await client.list_scans()
    nessus.on("DELETE /session", httpx.ConnectError(""))
    await client.close()


async def test_nothing_secret_is_in_a_repr() -> None:
    for auth in (KEYS, PERSON):
        client = scanner(ScriptedNessus(), auth=auth)
        await client.list_scans()
        for thing in (
            client,
            vars(client),
            vars(client._session),
            vars(vars(client._session)["_auth"]),
        ):
            assert not any(canary in repr(thing) for canary in CANARIES)
