"""Nothing out of scope passes: random strings and constructed evasions against a judge
that shares no code with the program (`support.target_oracle`).

The number of tries is `NESSUS_SCHED_FUZZ` (20,000 by default); a failure names its seed.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from ipaddress import IPv4Address, IPv6Address
from random import Random

import attrs
import pytest

from nessus_sched.core.targets.scope import Scope
from nessus_sched.core.targets.targets import BadTargets, parse_targets
from support.target_oracle import SENT_NAME, Judge, readings, sent_networks

TRIES = int(os.environ.get("NESSUS_SCHED_FUZZ", "20000"))


@attrs.frozen
class World:
    """A scope, and the judge of the same networks."""

    allow: tuple[str, ...]
    deny: tuple[str, ...]
    names: tuple[str, ...]

    def scope(self) -> Scope:
        return Scope([*self.allow, *self.names], [*self.deny, "hr.example.com"], 5000)

    def judge(self) -> Judge:
        return Judge(self.allow, self.deny)


NARROW = World(
    ("192.0.2.0/25", "198.51.100.0/24", "10.20.0.0/16", "2001:db8:0:1::/64"),
    ("192.0.2.66/32", "10.20.30.0/24", "2001:db8:0:1::bad/128"),
    ("*.example.com", "intranet"),
)
WIDE = World(
    ("0.0.0.0/0", "::/0"),
    (
        "127.0.0.0/8", "10.20.30.0/24", "10.21.0.0/16", "169.254.0.0/16", "192.0.2.66/32",
        "192.0.2.200/32", "203.0.113.0/24", "8.8.8.8/32", "1.2.3.4/32", "2001:db8:0:1::bad/128",
        "2001:db8::1/128", "::1/128",
    ),
    ("*",),
)  # fmt: skip
"""Everything but a few: here every form in which a denied address hides would do."""

INSIDE = ("192.0.2.7", "198.51.100.200", "10.20.1.1", "2001:db8:0:1::7")
OUTSIDE = (
    "192.0.2.66", "192.0.2.200", "203.0.113.9", "127.0.0.1", "10.20.30.40", "10.21.0.1",
    "169.254.169.254", "8.8.8.8", "1.2.3.4", "2001:db8:0:1::bad", "2001:db8::1", "::1",
)  # fmt: skip
NAMES = ("web.example.com", "a.b.example.com", "intranet", "hr.example.com", "evil.example.net")
ALPHABET = (
    "0123456789abcdefxABX.:-/,% \t\n[]@#*_+~;|\\'\"$(){}\0"
    "\u00a0\u200b\u3002\uff0e\u2460\u0663\uff10\u0131\u212a"
)


def octets(address: str) -> list[int]:
    number = int(IPv4Address(address)) if "." in address else int(IPv6Address(address)) % 2**32
    return list(number.to_bytes(4, "big"))


def octal(address: str, _: Random) -> str:
    return ".".join(f"{octet:04o}" for octet in octets(address))


def hexadecimal(address: str, random: Random) -> str:
    return ".".join(
        random.choice((hex(octet), str(octet), hex(octet).upper())) for octet in octets(address)
    )


def one_number(address: str, random: Random) -> str:
    number = int.from_bytes(bytes(octets(address)), "big")
    return random.choice((str(number), hex(number), f"0{number:o}", str(number + 2**32)))


def short(address: str, random: Random) -> str:
    a, b, c, d = octets(address)
    return random.choice((f"{a}.{(b << 16) + (c << 8) + d}", f"{a}.{b}.{(c << 8) + d}", f"{a}.{d}"))


def padded(address: str, random: Random) -> str:
    return ".".join("0" * random.randint(0, 3) + str(octet) for octet in octets(address))


def embedded(address: str, random: Random) -> str:
    four = ".".join(map(str, octets(address)))
    return random.choice(("::ffff:", "::", "64:ff9b::", "::ffff:0:", "2001:db8:0:1::")) + four


def six_to_four(address: str, _: Random) -> str:
    a, b, c, d = octets(address)
    return f"2002:{a:02x}{b:02x}:{c:02x}{d:02x}::1"


DECORATIONS = (
    "{}.", ".{}", "[{}]", "{}:443", "http://{}/", "//{}", "user@{}", "{}%eth0", "{}%25eth0",
    "{}#web.example.com", "web.example.com[{}]", "{}[192.0.2.7]", "+{}", " {} ", "{}\0",
    "192.0.2.7\u2028{}", "192.0.2.7;{}", "192.0.2.7\u3000{}", "{}\u200b", "'{}'", "{}/0",
    "{}/00", "{}/1", "{}/24", "{}/32", "{}/128", "{}/255.0.0.0", "192.0.2.0-{}", "{}-255",
    "{}-192.0.2.1", "192.0.2.7-{}", "{}-{}", "192.0.2.1,{}", "{}\r\n192.0.2.7",
    "{}.example.com", "link6 {}", "{}\\", "%2e{}", "${{x}}{}", "0{}", "{}e0", "-{}", "{}-",
)  # fmt: skip


def decorated(address: str, random: Random) -> str:
    return random.choice(DECORATIONS).format(address, address)


def unicode_digits(address: str, random: Random) -> str:
    zero = random.choice((0x660, 0x966, 0xFF10, 0x1D7CE))
    dot = random.choice(".\u3002\uff0e\uff61")
    return "".join(
        chr(zero + int(c)) if c.isdigit() and random.random() < 0.5 else dot if c == "." else c
        for c in address
    )


def mutated(address: str, random: Random) -> str:
    text = list(address)
    for _ in range(random.randint(1, 3)):
        text.insert(random.randint(0, len(text)), random.choice(ALPHABET))
    return "".join(text)


def plain(address: str, _: Random) -> str:
    return address


DISGUISES: tuple[Callable[[str, Random], str], ...] = (
    octal, hexadecimal, one_number, short, padded, embedded, six_to_four, decorated, decorated,
    unicode_digits, mutated, plain,
)  # fmt: skip


def made_up(random: Random) -> str:
    """One text of targets."""
    shape = random.random()
    if shape < 0.15:
        return "".join(random.choices(ALPHABET, k=random.randint(1, 24)))
    address = random.choice(OUTSIDE if shape < 0.6 else INSIDE)
    if shape > 0.9:
        address = random.choice(NAMES)
        return mutated(address, random) if shape > 0.95 else address
    text = random.choice(DISGUISES)(address, random)
    if random.random() < 0.1:
        text = (
            random.choice(DISGUISES)(text, random) if "." in address and text == address else text
        )
    return f"192.0.2.7, {text}" if random.random() < 0.1 else text


ODD_ANSWERS = (*INSIDE, *OUTSIDE, "::ffff:127.0.0.1", "64:ff9b::7f00:1", "fe80::1%eth0", "0x7f.1")


def answers(names: tuple[str, ...], random: Random) -> Mapping[str, list[str]]:
    """What a resolver, possibly a hostile one, says of the names."""
    return {
        name: random.choices(
            INSIDE if random.random() < 0.7 else ODD_ANSWERS, k=random.randint(0, 3)
        )
        for name in names
    }


def sent_for(text: str, world: World, random: Random) -> tuple[str, ...]:
    """What would be sent, or nothing when it is refused; names are judged here."""
    judge = world.judge()
    try:
        targets = parse_targets(text)
        resolved = answers(targets.names, random)
        sent = world.scope().approve(targets, resolved)
    except BadTargets:
        return ()
    for name in targets.names:
        assert resolved[name], name
        assert "*" in world.names or name == "intranet" or name.endswith(".example.com"), name
        assert name != "hr.example.com", text
        for address in resolved[name]:
            assert all(map(judge.in_scope, sent_networks(address))), (name, address)
    return sent


@pytest.mark.slow
@pytest.mark.parametrize("world", [NARROW, WIDE], ids=["narrow", "wide"])
def test_nothing_out_of_scope_passes(world: World) -> None:
    judge = world.judge()
    passed = names = 0
    for seed in range(TRIES // 2):
        random = Random(seed)
        text = made_up(random)
        sent = sent_for(text, world, random)
        for one in sent:
            assert all(map(judge.in_scope, sent_networks(one))), (seed, text, one)
        if sent:
            for network in readings(text):
                assert judge.in_scope(network), (seed, text, network)
            passed += 1
            names += any(map(SENT_NAME.fullmatch, sent))
    # A check that refuses everything would pass too.
    assert passed > TRIES // 50
    assert names > TRIES // 500
