"""Constraints between keys of the configuration, beyond the format of each value."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from types import MappingProxyType
from typing import Any, Final

import attrs

from nessus_sched.config.calendar import NetworkSettings
from nessus_sched.config.delivery import (
    JsonLinesSink,
    LabelSettings,
    RouteSettings,
    SinkSettings,
)
from nessus_sched.config.problems import ValueProblem, nearest
from nessus_sched.config.scanners import TlsSettings
from nessus_sched.config.schema import (
    AuditSettings,
    Config,
    LogSettings,
    PollingSettings,
    RoleSettings,
    SchedulingSettings,
)
from nessus_sched.core.credentials import (
    ALGORITHMS,
    Credential,
    CredentialKind,
    Escalation,
    EscalationMethod,
    plain_algorithm,
)
from nessus_sched.core.profile import NO_PROFILE, RESERVED, ScanProfile, ports_problem
from nessus_sched.core.task import DEFAULT_POOL

_SINKS: Final = ("apprise", "webhook", "defectdojo", "json_lines")
_LABELS: Final = ("owner", "site", "criticality")
_OURS: Final = "is set by the scheduler itself"

Keys = Mapping[str, Any]
"""A mapping from the file whose values have not been parsed yet."""

UNIQUE: Final = MappingProxyType(
    {
        "scanners": "id",
        "credentials": "name",
        "audits": "name",
        "roles": "name",
        "scan_profiles": "name",
        "networks": "cidr",
        "windows": "name",
        "blackouts": "name",
        "sinks": "name",
        "routes": "name",
    }
)

COMPONENTS: Final = (
    "api", "cli", "config", "core", "daemon", "delivery", "http", "ipc", "mcp", "nessus", "results",
    "scheduler", "store", "telemetry",
)  # fmt: skip
"""The parts of the program that can have their own log level."""


@attrs.frozen
class _Kind:
    """The keys that a kind of credential must have, and those it may have."""

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


def _check_keys(
    keys: Keys, kind: _Kind, always: frozenset[str], cls: type, word: str
) -> Iterator[ValueProblem]:
    present = {key for key, value in keys.items() if value is not None}
    for key in sorted(kind.needed - present):
        yield ValueProblem(f"missing key '{key}', which {word} needs")
    known = {field.name for field in attrs.fields(cls)}
    for key in sorted((present & known) - kind.needed - kind.optional - always):
        yield ValueProblem(f"does not belong to {word}", at=(key,), at_key=True)


def _credential(keys: Keys) -> Iterator[ValueProblem]:
    word = keys.get("kind")
    if word not in list(CredentialKind):
        return
    yield from _check_keys(keys, _KINDS[CredentialKind(word)], _ALWAYS, Credential, f"kind {word}")
    for key, known in ALGORITHMS.items():
        given = keys.get(key)
        if isinstance(given, str) and plain_algorithm(given) not in map(plain_algorithm, known):
            yield ValueProblem(f"expected one of {', '.join(known)}", at=(key,))
    if keys.get("privacy_password") is not None and keys.get("auth_password") is None:
        yield ValueProblem("missing key 'auth_password', which privacy needs")
    if keys.get("privileged") is True and keys.get("escalation") is not None:
        yield ValueProblem("privileged needs no escalation; give one of them", at=("privileged",))


def _escalation(keys: Keys) -> Iterator[ValueProblem]:
    word = keys.get("method")
    if word in list(EscalationMethod):
        method = EscalationMethod(word)
        yield from _check_keys(keys, _METHODS[method], frozenset({"method"}), Escalation, f"{word}")


def _tls(keys: Keys) -> Iterator[ValueProblem]:
    given = [key for key in ("ca_file", "fingerprint") if keys.get(key) is not None]
    if keys.get("verify") is False:
        for key in given:
            yield ValueProblem("has no effect with verify: false; give one of them", at=(key,))
    elif len(given) > 1:
        yield ValueProblem("give either ca_file or fingerprint, not both", at=("fingerprint",))


def _audit(keys: Keys) -> Iterator[ValueProblem]:
    given = [key for key in ("file", "builtin") if keys.get(key) is not None]
    if len(given) != 1:
        yield ValueProblem("give either file or builtin", at=tuple(given[1:]))
    if keys.get("builtin") is None and keys.get("variables"):
        yield ValueProblem(
            "only applies to builtin; an audit file has its own values", at=("variables",)
        )


def _profile(keys: Keys) -> Iterator[ValueProblem]:
    if keys.get("name") == NO_PROFILE:
        yield ValueProblem(f"{NO_PROFILE!r} means no profile; choose another name", at=("name",))
    ports = keys.get("ports")
    if isinstance(ports, str) and (problem := ports_problem(ports)):
        yield ValueProblem(problem, at=("ports",))
    named = keys.get("settings")
    for name in named if isinstance(named, dict) else ():
        if name in RESERVED:
            yield ValueProblem(_OURS, at=("settings", name), at_key=True)


def _default_profiles(profiles: Any) -> Iterator[ValueProblem]:
    """A kind of scan can have only one default profile."""
    taken: dict[str, int] = {}
    for index, profile in enumerate(profiles if isinstance(profiles, list) else ()):
        kinds = profile.get("default_for") if isinstance(profile, dict) else None
        for place, kind in enumerate(kinds if isinstance(kinds, list) else ()):
            first = taken.setdefault(str(kind), index)
            if first != index:
                yield ValueProblem(
                    f"scan_profiles[{first}] is already the default for {kind}",
                    at=("scan_profiles", index, "default_for", place),
                )


def _role(keys: Keys) -> Iterator[ValueProblem]:
    if not keys.get("users") and not keys.get("groups"):
        yield ValueProblem("matches no one: give users or groups", hint='users: ["*"] for everyone')


def _sink(keys: Keys) -> Iterator[ValueProblem]:
    given = [key for key in _SINKS if keys.get(key) is not None]
    if len(given) != 1:
        yield ValueProblem(f"give exactly one of {', '.join(_SINKS)}", at=tuple(given[1:2]))


def _json_lines(keys: Keys) -> Iterator[ValueProblem]:
    if (keys.get("file") is None) == (keys.get("syslog") is None):
        yield ValueProblem("give either file or syslog")


def _labels(keys: Keys) -> Iterator[ValueProblem]:
    if not keys.get("networks") and not keys.get("hosts"):
        yield ValueProblem("matches no host: give networks or hosts")
    if not any(keys.get(key) for key in _LABELS):
        yield ValueProblem(f"gives no label: give {', '.join(_LABELS)}")


def _route(keys: Keys) -> Iterator[ValueProblem]:
    labels = keys.get("labels")
    for name in labels if isinstance(labels, dict) else ():
        if name not in _LABELS:
            hint = nearest(name, _LABELS)
            yield ValueProblem("unknown label", hint=hint, at=("labels", name), at_key=True)
    if keys.get("when") not in ("daily", "weekly"):
        for key in ("at", "unchanged", "report"):
            if keys.get(key) is not None:
                yield ValueProblem("is only for digests (when: daily or weekly)", at=(key,))
    limits = [key for key in ("networks", "labels", "schedules") if keys.get(key)]
    if keys.get("report") is not None and (
        len(limits) > 1 or len(_list(keys.get("schedules"))) > 1
    ):
        text = "is about networks, hosts with labels, or one schedule: give one of these"
        yield ValueProblem(text, at=("report",))
    if keys.get("on") == []:
        yield ValueProblem("names nothing to send", at=("on",))
    if keys.get("day") is not None and keys.get("when") != "weekly":
        yield ValueProblem("is only for weekly digests", at=("day",))


def _sinks_named(keys: Keys) -> Iterator[ValueProblem]:
    """Sinks that routes name and that there are not."""
    names = [str(each.get("name")) for each in _list(keys.get("sinks")) if isinstance(each, dict)]
    for index, route in enumerate(_list(keys.get("routes"))):
        name = route.get("sink") if isinstance(route, dict) else None
        if isinstance(name, str) and name not in names:
            hint = nearest(name, sorted(set(names)))
            yield ValueProblem("there is no such sink", hint=hint, at=("routes", index, "sink"))


def _routes_to_defectdojo(keys: Keys) -> Iterator[ValueProblem]:
    """Digests to DefectDojo, which needs the reports of all tasks."""
    sinks = [each for each in _list(keys.get("sinks")) if isinstance(each, dict)]
    names = [each.get("name") for each in sinks if each.get("defectdojo") is not None]
    for index, route in enumerate(_list(keys.get("routes"))):
        if not isinstance(route, dict) or route.get("sink") not in names:
            continue
        if route.get("when") in ("daily", "weekly"):
            text = "DefectDojo gets each task when it ends, and no digests"
            yield ValueProblem(text, at=("routes", index, "when"))


def _log(keys: Keys) -> Iterator[ValueProblem]:
    components = keys.get("components")
    for name in components if isinstance(components, dict) else ():
        if name not in COMPONENTS:
            hint = nearest(name, COMPONENTS)
            yield ValueProblem("unknown component", hint=hint, at=("components", name), at_key=True)


def _config(keys: Keys) -> Iterator[ValueProblem]:
    for section, key in UNIQUE.items():
        yield from _duplicates(section, key, keys.get(section))
    custom = keys.get("custom_settings_allowed")
    for index, name in enumerate(custom if isinstance(custom, list) else ()):
        if isinstance(name, str) and name in RESERVED:
            yield ValueProblem(
                f"{_OURS} and can never be allowed", at=("custom_settings_allowed", index)
            )
    yield from _default_profiles(keys.get("scan_profiles"))
    yield from _scanners_named(keys)
    yield from _sinks_named(keys)
    yield from _routes_to_defectdojo(keys)


def _scanners_named(keys: Keys) -> Iterator[ValueProblem]:
    """Scanners and pools that windows and blackouts name and that there are not."""
    scanners = [each for each in _list(keys.get("scanners")) if isinstance(each, dict)]
    known = {
        "scanners": [str(each.get("id")) for each in scanners],
        "pools": [str(each.get("pool", DEFAULT_POOL)) for each in scanners],
    }
    for section in ("windows", "blackouts"):
        for index, period in enumerate(_list(keys.get(section))):
            for key, names in known.items():
                given = _list(period.get(key)) if isinstance(period, dict) else []
                for place, name in enumerate(given):
                    if isinstance(name, str) and name not in names:
                        hint = nearest(name, sorted(set(names)))
                        at = (section, index, key, place)
                        yield ValueProblem(f"there is no such {key[:-1]}", hint=hint, at=at)


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _duplicates(section: str, key: str, items: Any) -> Iterator[ValueProblem]:
    seen: dict[str, int] = {}
    for index, item in enumerate(items if isinstance(items, list) else ()):
        name = item.get(key) if isinstance(item, dict) else None
        if not isinstance(name, str):
            continue
        first = seen.setdefault(name.casefold(), index)
        if first != index:
            yield ValueProblem(f"the same {key} as {section}[{first}]", at=(section, index, key))


CHECKS: Final[Mapping[type, Callable[[Keys], Iterable[ValueProblem]]]] = MappingProxyType(
    {
        Credential: _credential,
        Escalation: _escalation,
        TlsSettings: _tls,
        AuditSettings: _audit,
        ScanProfile: _profile,
        RoleSettings: _role,
        LogSettings: _log,
        SinkSettings: _sink,
        JsonLinesSink: _json_lines,
        RouteSettings: _route,
        LabelSettings: _labels,
        Config: _config,
    }
)
"""Checks by class, on the unparsed keys, so that they run even if some values are wrong."""

ORDERED: Final[Mapping[type, tuple[tuple[str, str], ...]]] = MappingProxyType(
    {
        PollingSettings: (("fastest", "slowest"), ("probe", "probe_max")),
        SchedulingSettings: (("backoff_base", "backoff_max"),),
        NetworkSettings: (("max_concurrent_scans", "max_concurrent_hosts"),),
    }
)
"""Pairs of fields where the first must not be greater than the second."""


def check_order(value: Any) -> Iterator[ValueProblem]:
    for less, more in ORDERED.get(type(value), ()):
        most = getattr(value, more)
        if most is not None and getattr(value, less) > most:
            yield ValueProblem(f"must not be greater than {more}", at=(less,))
