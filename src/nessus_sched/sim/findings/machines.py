"""The simulated network: which targets answer, and what runs on them."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator, Sequence

import attrs

from nessus_sched.sim.findings.drift import Drift
from nessus_sched.sim.seeded import dice, share
from nessus_sched.sim.targets import Target, parse


@attrs.frozen
class Service:
    """`speaks` are the names by which plugins find it, such as `http` and `tls`."""

    port: int
    name: str
    speaks: tuple[str, ...]
    protocol: str = "tcp"
    product: str = ""


@attrs.frozen(kw_only=True)
class Machine:
    """A live host. The same seed and target always give the same machine."""

    target: str
    ip: str
    fqdn: str
    mac: str
    kind: str
    """`linux`, `windows` or `device`."""
    os_name: str
    cpe: str
    services: tuple[Service, ...]
    up: bool = True
    """False for an address that does not answer but was assumed to be up."""

    @property
    def login_service(self) -> Service | None:
        """The service for logins: SSH, or SMB on Windows."""
        wanted = "smb" if self.kind == "windows" else "ssh"
        return next((service for service in self.services if wanted in service.speaks), None)


_OPENSSH = "OpenSSH_8.9p1 Ubuntu-3ubuntu0.6"
_SSH = Service(22, "ssh", ("ssh",), product=_OPENSSH)
_SYSTEMS = {
    "linux": (
        ("Linux Kernel 5.15 on Ubuntu 22.04 (jammy)", "cpe:/o:canonical:ubuntu_linux:22.04"),
        ("Linux Kernel 5.4 on Ubuntu 20.04 (focal)", "cpe:/o:canonical:ubuntu_linux:20.04"),
        ("Linux Kernel 5.10 on Debian 11 (bullseye)", "cpe:/o:debian:debian_linux:11"),
    ),
    "windows": (
        ("Microsoft Windows Server 2019 Standard", "cpe:/o:microsoft:windows_server_2019"),
        ("Microsoft Windows 10 Pro", "cpe:/o:microsoft:windows_10"),
        ("Microsoft Windows Server 2012 R2", "cpe:/o:microsoft:windows_server_2012:r2"),
    ),
    "device": (
        ("Cisco IOS 15.2", "cpe:/o:cisco:ios:15.2"),
        ("HP LaserJet", "cpe:/h:hp:laserjet"),
    ),
}
_ALWAYS = {
    "linux": (_SSH,),
    "windows": (
        Service(135, "epmap", ("dcerpc",)),
        Service(445, "cifs", ("smb",)),
    ),
    "device": (Service(161, "snmp", ("snmp",), "udp"),),
}
_SOMETIMES = {
    "linux": (
        (0.7, Service(80, "www", ("http",), product="Apache/2.4.41 (Ubuntu)")),
        (0.6, Service(443, "www", ("http", "tls"), product="nginx/1.18.0 (Ubuntu)")),
        (0.2, Service(53, "dns", ("dns",), "udp")),
        (0.25, Service(3306, "mysql", ("mysql",))),
        (0.25, Service(5432, "postgresql", ("postgresql",))),
        (0.15, Service(8080, "www", ("http",), product="Apache-Coyote/1.1")),
    ),
    "windows": (
        (0.8, Service(3389, "msrdp", ("rdp", "tls"))),
        (0.4, Service(443, "www", ("http", "tls"), product="Microsoft-IIS/10.0")),
        (0.3, Service(53, "dns", ("dns",), "udp")),
    ),
    "device": (
        (0.6, Service(80, "www", ("http",), product="Virata-EmWeb/R6_2_1")),
        (0.5, Service(22, "ssh", ("ssh",), product="Cisco-1.25")),
        (0.4, Service(443, "www", ("http", "tls"), product="Virata-EmWeb/R6_2_1")),
    ),
}
_HIGH = {
    "linux": (
        (0.3, Service(48443, "www", ("http", "tls"), product="nginx/1.14.0 (Ubuntu)")),
        (0.15, Service(61616, "www", ("http",), product="Apache/2.4.29 (Ubuntu)")),
    ),
    "windows": ((0.25, Service(47001, "www", ("http",), product="Microsoft-HTTPAPI/2.0")),),
    "device": ((0.2, Service(60443, "www", ("http", "tls"), product="Virata-EmWeb/R6_2_1")),),
}


def build_machine(seed: int, target: str, *, name: str = "") -> Machine:
    """The machine with an address or name; an address may have a name, too."""
    roll = dice(seed, "machine", target)
    kind = roll.choices(("linux", "windows", "device"), weights=(5, 4, 1))[0]
    os_name, cpe = roll.choice(_SYSTEMS[kind])
    extra = [service for chance, service in _SOMETIMES[kind] if roll.random() < chance]
    ip = _address(target) or f"198.51.100.{roll.randrange(1, 255)}"
    named = ip != target
    return Machine(
        target=name or target,
        ip=ip,
        fqdn=target if named else name or f"{kind}-{roll.randrange(16**4):04x}.example.com",
        mac="02:00:00:" + ":".join(f"{roll.randrange(256):02X}" for _ in range(3)),
        kind=kind,
        os_name=os_name,
        cpe=cpe,
        services=tuple(
            sorted(
                (*_ALWAYS[kind], *extra, *_on_high_ports(seed, kind, ip)),
                key=lambda service: service.port,
            )
        ),
    )


def _on_high_ports(seed: int, kind: str, ip: str) -> Iterator[Service]:
    """Services on ports that a scan does not cover by default."""
    for chance, service in _HIGH[kind]:
        if share(seed, "high port", ip, service.port) < chance:
            yield service


def _address(target: str) -> str | None:
    try:
        return str(ipaddress.ip_address(target))
    except ValueError:
        return None


@attrs.frozen
class Network:
    """Determines which targets answer."""

    seed: int
    alive_share: float
    dead: tuple[Target, ...]
    singles_alive: bool = True

    @classmethod
    def build(
        cls,
        seed: int,
        alive_share: float,
        dead_targets: Sequence[str],
        *,
        singles_alive: bool = True,
    ) -> Network:
        return cls(seed, alive_share, tuple(parse(list(dead_targets))), singles_alive)

    def survey(
        self, texts: Sequence[str], *, ping: bool = True, drift: Drift | None = None
    ) -> Iterator[Machine]:
        """The machines among the targets that answer, in order, without duplicates; without ping
        every address."""
        now = drift or Drift(self.seed)
        seen: set[str] = set()
        for target in parse(texts):
            for member in target.members():
                answers = member not in seen and self._answers(member, target, now)
                if answers:
                    yield build_machine(self.seed, member, name=target.name)
                elif member not in seen and not ping:
                    silent = build_machine(self.seed, member, name=target.name)
                    yield attrs.evolve(silent, services=(), up=False)
                seen.add(member)

    def _answers(self, member: str, target: Target, drift: Drift) -> bool:
        if any(_covers(dead, known) for dead in self.dead for known in (member, target.name)):
            return False
        certain = target.single and self.singles_alive
        return certain or drift.machine(member) < self.alive_share


def _covers(target: Target, member: str) -> bool:
    if target.first is None or target.last is None:
        return target.text.lower() == member.lower()
    try:
        address = ipaddress.ip_address(member)
    except ValueError:
        return False
    same_kind = address.version == target.first.version
    return same_kind and int(target.first) <= int(address) <= int(target.last)
