"""Logging in and out, API keys, and the web UI's script with its token."""

from __future__ import annotations

import gzip
import hashlib

from nessus_sched.sim.api.calls import Call
from nessus_sched.sim.fields import text_field
from nessus_sched.sim.messages import EMPTY, ApiError, Response, reply

_FILLER_LINE = 'e.exports=function(t,n){{return t&&n?t.concat(n):n||"{number:06x}"}};'
_FILLER_LINES = 2000


def log_in(call: Call) -> Response:
    username = text_field(call.body, "username")
    password = text_field(call.body, "password")
    try:
        token = call.nessus.accounts.log_in(username, password, call.now)
    except ApiError:
        call.record("bad_login")
        raise
    call.record("login")
    return reply({"token": token})


def log_out(call: Call) -> Response:
    if call.login is not None:
        call.nessus.accounts.log_out(call.login.token)
    call.record("logout")
    return EMPTY


def who_am_i(call: Call) -> Response:
    accounts = call.nessus.accounts
    return reply(
        {
            "id": 2,
            "username": accounts.username,
            "email": accounts.email,
            "name": accounts.name,
            "type": "local",
            "permissions": call.nessus.permissions,
            "lastlogin": int(accounts.last_login),
            "container_id": 0,
            "groups": None,
            "preferences": None,
            "whatsnew_version": None,
        }
    )


def edit_self(call: Call) -> Response:
    accounts = call.nessus.accounts
    accounts.name = str(call.body.get("name") or accounts.name)
    accounts.email = str(call.body.get("email") or accounts.email)
    return EMPTY


def change_password(call: Call) -> Response:
    accounts = call.nessus.accounts
    password = text_field(call.body, "password")
    if call.body.get("current_password") != accounts.password:
        raise ApiError(401, "Invalid Credentials")
    if len(password) < 8:
        raise ApiError(400, "Password too short")
    accounts.password = password
    return EMPTY


def renew_keys(call: Call) -> Response:
    access_key, secret_key = call.nessus.accounts.renew_keys()
    return reply({"accessKey": access_key, "secretKey": secret_key})


def ui_script(call: Call) -> Response:
    """The minified script of the web UI. Of its four functions that return a string, three are
    decoys, as in the real one."""
    token = call.nessus.accounts.ui_token
    lines = [_FILLER_LINE.format(number=number) for number in range(_FILLER_LINES)]
    hits = {
        200: 'p=[{key:"getPosition",value:function(){return"top"}}];',
        700: 'c=[{key:"getCommand",value:function(){return"nessuscli"}}];',
        1200: f'u=[{{key:"getApiToken",value:function(){{return"{token}"}}}}];',
        1700: 's=[{key:"getSeason",value:function(){return"winter"}}];',
    }
    for number, hit in hits.items():
        lines[number] += hit
    script = "".join(lines).encode()
    etag = hashlib.sha256(script).hexdigest()[:32]
    headers = [("etag", f'"{etag}"'), ("cache-control", "must-revalidate")]
    asked = "gzip" in call.request.headers.get("accept-encoding", "")
    if asked or call.nessus.options.assumes("always_gzip"):
        script = gzip.compress(script, mtime=0)
        headers.append(("content-encoding", "gzip"))
    return Response(body=script, content_type="application/javascript", headers=tuple(headers))
