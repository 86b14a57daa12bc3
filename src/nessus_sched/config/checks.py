"""What must hold between the keys of the configuration, beyond each value by itself."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from types import MappingProxyType
from typing import Any, Final

import attrs

from nessus_sched.config.problems import Wrong, nearest
from nessus_sched.config.schema import (
    AuditSettings,
    Config,
    LogSettings,
    PollingSettings,
    RoleSettings,
    SchedulingSettings,
    TlsSettings,
)
from nessus_sched.core.credentials import (
    ALGORITHMS,
    Credential,
    CredentialKind,
    Escalation,
    EscalationMethod,
    plain_algorithm,
)
from nessus_sched.core.profile import NO_PROFILE, ScanProfile, ports_problem
from nessus_sched.core.reserved import RESERVED

_OURS: Final = "is set by the scheduler itself"

Keys = Mapping[str, Any]
"""A mapping of the file, before its values have been read."""

UNIQUE: Final = MappingProxyType(
    {
        "scanners": "id",
        "credentials": "name",
        "audits": "name",
        "roles": "name",
        "scan_profiles": "name",
    }
)

COMPONENTS: Final = (
    "api", "cli", "config", "core", "daemon", "http", "ipc", "mcp", "nessus", "results",
    "scheduler", "store", "telemetry",
)  # fmt: skip
"""The parts of the program that can have a log level of their own."""


@attrs.frozen
class _Kind:
    """Which keys a kind of credential must have, and may have besides."""

    needed: frozenset[str]
    optional: frozenset[str] = frozenset()


_SSH: Final = frozenset({"escalation", "privileged"})
_ALWAYS: Final = frozenset({"name", "kind", "username"})
_KINDS: Final = MappingProxyType(
    {
        CredentialKind.SSH_PASSWORD: _Kind(frozenset({"password"}), _SSH),
        CredentialKind.SSH_KEY: _Kind(frozenset({"private_key"}), _SSH | {"passphrase"}),
        CredentialKind.WINDOWS: _Kind(frozenset({"password"}), frozenset({"domain", "privileged"})),
        CredentialKind.SNMPV3: _Kind(
            frozenset(),
            frozenset({"auth_algorithm", "auth_password", "privacy_algorithm", "privacy_password"}),
        ),
    }
)
_PASSWORD: Final = frozenset({"account", "password"})
_METHODS: Final = MappingProxyType(
    {
        EscalationMethod.SUDO: _Kind(frozenset(), _PASSWORD),
        EscalationMethod.SU: _Kind(frozenset({"password"}), _PASSWORD),
        EscalationMethod.SU_SUDO: _Kind(frozenset({"su_user", "password"}), _PASSWORD),
        EscalationMethod.PBRUN: _Kind(frozenset(), _PASSWORD),  # see `config.warnings`
        EscalationMethod.DZDO: _Kind(frozenset(), _PASSWORD),
        EscalationMethod.K5LOGIN: _Kind(frozenset(), frozenset({"account"})),
        EscalationMethod.ENABLE: _Kind(frozenset({"password"})),
        EscalationMethod.EXPERT: _Kind(frozenset({"password"})),
    }
)


def _fit(keys: Keys, kind: _Kind, always: frozenset[str], cls: type, word: str) -> Iterator[Wrong]:
    present = {key for key, value in keys.items() if value is not None}
    for key in sorted(kind.needed - present):
        yield Wrong(f"missing key '{key}', which {word} needs")
    known = {field.name for field in attrs.fields(cls)}
    for key in sorted((present & known) - kind.needed - kind.optional - always):
        yield Wrong(f"does not belong to {word}", at=(key,), at_key=True)


def _credential(keys: Keys) -> Iterator[Wrong]:
    word = keys.get("kind")
    if word not in list(CredentialKind):
        return
    yield from _fit(keys, _KINDS[CredentialKind(word)], _ALWAYS, Credential, f"kind {word}")
    for key, known in ALGORITHMS.items():
        given = keys.get(key)
        if isinstance(given, str) and plain_algorithm(given) not in map(plain_algorithm, known):
            yield Wrong(f"expected one of {', '.join(known)}", at=(key,))
    if keys.get("privacy_password") is not None and keys.get("auth_password") is None:
        yield Wrong("missing key 'auth_password', which privacy needs")
    if keys.get("privileged") is True and keys.get("escalation") is not None:
        yield Wrong("privileged needs no escalation; give one of them", at=("privileged",))


def _escalation(keys: Keys) -> Iterator[Wrong]:
    word = keys.get("method")
    if word in list(EscalationMethod):
        method = EscalationMethod(word)
        yield from _fit(keys, _METHODS[method], frozenset({"method"}), Escalation, f"{word}")


def _tls(keys: Keys) -> Iterator[Wrong]:
    given = [key for key in ("ca_file", "fingerprint") if keys.get(key) is not None]
    if keys.get("verify") is False:
        for key in given:
            yield Wrong("has no effect with verify: false; give one of them", at=(key,))
    elif len(given) > 1:
        yield Wrong("give either ca_file or fingerprint, not both", at=("fingerprint",))


def _audit(keys: Keys) -> Iterator[Wrong]:
    given = [key for key in ("file", "builtin") if keys.get(key) is not None]
    if len(given) != 1:
        yield Wrong("give either file or builtin", at=tuple(given[1:]))
    if keys.get("builtin") is None and keys.get("variables"):
        yield Wrong("belongs to builtin; an audit file holds its own values", at=("variables",))


def _profile(keys: Keys) -> Iterator[Wrong]:
    if keys.get("name") == NO_PROFILE:
        yield Wrong(f"{NO_PROFILE!r} means no profile; choose another name", at=("name",))
    ports = keys.get("ports")
    if isinstance(ports, str) and (problem := ports_problem(ports)):
        yield Wrong(problem, at=("ports",))
    named = keys.get("settings")
    for name in named if isinstance(named, dict) else ():
        if name in RESERVED:
            yield Wrong(_OURS, at=("settings", name), at_key=True)


def _default_profiles(profiles: Any) -> Iterator[Wrong]:
    """A kind of scan has one default profile at most."""
    taken: dict[str, int] = {}
    for index, profile in enumerate(profiles if isinstance(profiles, list) else ()):
        kinds = profile.get("default_for") if isinstance(profile, dict) else None
        for place, kind in enumerate(kinds if isinstance(kinds, list) else ()):
            first = taken.setdefault(str(kind), index)
            if first != index:
                yield Wrong(
                    f"scan_profiles[{first}] is the default for {kind} already",
                    at=("scan_profiles", index, "default_for", place),
                )


def _role(keys: Keys) -> Iterator[Wrong]:
    if not keys.get("users") and not keys.get("groups"):
        yield Wrong("matches no one: give users or groups", hint='users: ["*"] for everybody')


def _log(keys: Keys) -> Iterator[Wrong]:
    components = keys.get("components")
    for name in components if isinstance(components, dict) else ():
        if name not in COMPONENTS:
            hint = nearest(name, COMPONENTS)
            yield Wrong("unknown component", hint=hint, at=("components", name), at_key=True)


def _config(keys: Keys) -> Iterator[Wrong]:
    for section, key in UNIQUE.items():
        yield from _duplicates(section, key, keys.get(section))
    custom = keys.get("custom_settings_allowed")
    for index, name in enumerate(custom if isinstance(custom, list) else ()):
        if isinstance(name, str) and name in RESERVED:
            yield Wrong(f"{_OURS} and can never be allowed", at=("custom_settings_allowed", index))
    yield from _default_profiles(keys.get("scan_profiles"))


def _duplicates(section: str, key: str, items: Any) -> Iterator[Wrong]:
    seen: dict[str, int] = {}
    for index, item in enumerate(items if isinstance(items, list) else ()):
        name = item.get(key) if isinstance(item, dict) else None
        if not isinstance(name, str):
            continue
        first = seen.setdefault(name.casefold(), index)
        if first != index:
            yield Wrong(f"the same {key} as {section}[{first}]", at=(section, index, key))


CHECKS: Final[Mapping[type, Callable[[Keys], Iterable[Wrong]]]] = MappingProxyType(
    {
        Credential: _credential,
        Escalation: _escalation,
        TlsSettings: _tls,
        AuditSettings: _audit,
        ScanProfile: _profile,
        RoleSettings: _role,
        LogSettings: _log,
        Config: _config,
    }
)
"""On the keys of a mapping of that class, also when some of its values are wrong."""

ORDERED: Final[Mapping[type, tuple[tuple[str, str], ...]]] = MappingProxyType(
    {
        PollingSettings: (("fastest", "slowest"), ("probe", "probe_max")),
        SchedulingSettings: (("backoff_base", "backoff_max"),),
    }
)
"""Pairs of fields of which the first must not be greater than the second."""


def misordered(value: Any) -> Iterator[Wrong]:
    for less, more in ORDERED.get(type(value), ()):
        if getattr(value, less) > getattr(value, more):
            yield Wrong(f"must not be greater than {more}", at=(less,))
