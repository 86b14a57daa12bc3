"""Warnings about settings that are valid but not recommended."""

from __future__ import annotations

from base64 import b64decode
from collections.abc import Iterator
from itertools import groupby
from operator import attrgetter
from typing import Final

from nessus_sched.config.parsers import split_bind
from nessus_sched.config.schema import Config
from nessus_sched.config.secrets import secrets_of
from nessus_sched.config.timetable import timetable
from nessus_sched.core.calendar.timetable import next_opening
from nessus_sched.core.credentials import DEFAULT_ACCOUNT, EscalationMethod
from nessus_sched.core.masking import SHORTEST
from nessus_sched.core.secret import Secret
from nessus_sched.core.targets.address import parse_address
from nessus_sched.core.targets.ranges import overlap
from nessus_sched.core.targets.scope import parse_rules
from nessus_sched.core.targets.targets import parse_targets
from nessus_sched.core.text import duration, pluralize

_HERE: Final = ("", "localhost", "127.0.0.1")
LONGEST_FOLDER: Final = 20
"""Characters; a public client reports that Nessus refuses longer names."""


def warnings(config: Config, now: float) -> tuple[str, ...]:
    """Sentences for the log, `config check` and health, without secrets. `now` is in epoch
    seconds."""
    return (
        *_store(config),
        *_scanners(config),
        *_scope(config),
        *_exposure(config),
        *_limits(config),
        *_keys(config),
        *_pbrun(config),
        *_windows(config, now),
    )


def _windows(config: Config, now: float) -> Iterator[str]:
    """Windows in which nothing could ever be scanned, or no part as long as it should be."""
    rules = timetable(config).rules
    everywhere = [
        each
        for each in rules
        if each.blackout and not (each.scanners or each.pools) and each.networks is None
    ]
    for rule in rules:
        if rule.blackout:
            continue
        opens = next_opening([rule, *everywhere], now)
        if opens is None:
            but = " outside blackouts" if rule.is_open(now) or rule.opens(now) else ""
            yield f"{rule.text} does not open within a year{but}: the scans it applies to never run"
        elif opens.length < config.scheduling.part_duration:
            yield (
                f"{rule.text} is open for {duration(opens.length)} at most, which is less than "
                "scheduling.part_duration: scans in it will often be paused"
            )


def _limits(config: Config) -> Iterator[str]:
    limits = config.limits
    # Its own size, and three times that once decoded.
    if 4 * limits.message_size > limits.connection_memory // 2:
        yield (
            "limits.message_size: a message needs up to four times its size, and a user gets only "
            "half of limits.connection_memory: raise the latter or lower the former"
        )


def _store(config: Config) -> Iterator[str]:
    """libpq encrypts by default if the server can, and checks nothing."""
    if config.store is None:
        if config.store_password is not None:
            yield "store_password is not used, because `store` names no database"
        return
    servers, _, options = config.store.partition("://")[2].rpartition("@")[2].partition("?")
    hosts = servers.partition("/")[0].split(",")
    if all(host.partition(":")[0] in _HERE or host.startswith(("[::1]", "%2F")) for host in hosts):
        return
    if "sslmode=verify-full" not in options.split("&"):
        yield (
            "store: without sslmode=verify-full in its URL, an attacker on the network can read "
            "everything sent to the database, and impersonate it"
        )


def _scanners(config: Config) -> Iterator[str]:
    if not config.scanners:
        yield "no scanners are configured, so nothing can be scanned"
    for scanner in config.scanners:
        if not scanner.tls.verify:
            yield (
                f"scanner {scanner.id}: verify: false accepts any certificate, so an attacker on "
                "the network can read its login; pin the certificate's fingerprint instead"
            )
        if len(scanner.folder) > LONGEST_FOLDER:
            yield (
                f"scanner {scanner.id}: the folder name {scanner.folder!r} is longer than "
                f"{LONGEST_FOLDER} characters, which Nessus may refuse"
            )
    by_url = sorted(config.scanners, key=attrgetter("url"))
    for url, group in groupby(by_url, key=attrgetter("url")):
        ids = [scanner.id for scanner in group]
        if len(ids) > 1:
            yield f"scanners {', '.join(ids)} have the same url {url}: their limits add up"


def _keys(config: Config) -> Iterator[str]:
    for credential in config.credentials:
        if credential.private_key and _is_ed25519(credential.private_key):
            yield (
                f"credential {credential.name}: Nessus is known to accept RSA, DSA and ECDSA keys; "
                "an Ed25519 key may fail: check whether the first scan logs in"
            )


def _pbrun(config: Config) -> Iterator[str]:
    """Earlier versions took an account and no password, and that configuration still loads."""
    for credential in config.credentials:
        escalation = credential.escalation
        if escalation is None or escalation.method is not EscalationMethod.PBRUN:
            continue
        if escalation.account != DEFAULT_ACCOUNT:
            yield (
                f"credential {credential.name}: Nessus does not use an account for pbrun; "
                "escalation.account is ignored"
            )
        if escalation.password is None:
            yield f"credential {credential.name}: Nessus needs a password for pbrun"


def _is_ed25519(key: Secret) -> bool:
    """OpenSSH puts the type at the start of the public key."""
    body = "".join(line for line in key.reveal().splitlines() if not line.startswith("-----"))
    try:
        return b"ssh-ed25519" in b64decode(body)[:200]
    except ValueError:
        return False


def _scope(config: Config) -> Iterator[str]:
    rules = parse_rules(config.targets.allow)
    if not config.targets.allow:
        yield "targets.allow is empty, so nothing can be scanned"
    elif not rules.networks:
        yield "targets.allow has names but no networks, so no address may be scanned"


def _exposure(config: Config) -> Iterator[str]:
    if config.http.bind is not None and not _is_loopback(split_bind(config.http.bind)[0]):
        yield f"http.bind {config.http.bind} can be reached from other machines"
    short = sum(0 < len(secret.reveal()) < SHORTEST for secret in secrets_of(config))
    if short:
        have, are, them = ("has", "is", "it") if short == 1 else ("have", "are", "them")
        yield (
            f"{pluralize(short, 'secret')} {have} fewer than {SHORTEST} characters and {are} not "
            f"masked when scanners or hosts repeat {them}"
        )
    for hook in config.notifications:
        if hook.url.startswith("http://"):
            yield "a notification is sent over plain http"


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    number = parse_address(host)
    return overlap(_LOOPBACK, ((number, number),))


_LOOPBACK = parse_targets(["127.0.0.0/8", "::1"]).ranges
