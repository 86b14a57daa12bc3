"""Derives an RSA key from a seed, so that a certificate can be pinned before its server runs.
Only for simulated servers: anyone who knows the seed knows the key.
"""

from __future__ import annotations

import math
import random
from collections.abc import Iterator

from cryptography.hazmat.primitives.asymmetric import rsa

from nessus_sched.sim.seeded import dice

_EXPONENT = 65537
_ROUNDS = 4
"""Rounds of Miller-Rabin; even one is rarely wrong for a random 1,024-bit candidate."""


def seeded_rsa_key(*seed: object) -> rsa.RSAPrivateKey:
    """2,048 bits, always the same for the same seed."""
    generator = dice(*seed)
    p, q = _prime(generator), _prime(generator)
    private = pow(_EXPONENT, -1, math.lcm(p - 1, q - 1))
    numbers = rsa.RSAPrivateNumbers(
        p=p,
        q=q,
        d=private,
        dmp1=private % (p - 1),
        dmq1=private % (q - 1),
        iqmp=pow(q, -1, p),
        public_numbers=rsa.RSAPublicNumbers(_EXPONENT, p * q),
    )
    return numbers.private_key()


def _prime(generator: random.Random) -> int:
    """Of 1,024 bits, the two highest set so that a product of two has 2,048."""
    return next(
        candidate
        for candidate in _candidates(generator)
        if candidate % _EXPONENT != 1 and _probably_prime(candidate, generator)
    )


def _candidates(generator: random.Random) -> Iterator[int]:
    start = generator.getrandbits(1024) | (3 << 1022) | 1
    for step in range(0, 1 << 20, 2):
        if math.gcd(start + step, _SMALL) == 1:
            yield start + step


_SMALL = math.prod(n for n in range(3, 2000) if all(n % d for d in range(2, math.isqrt(n) + 1)))


def _probably_prime(number: int, generator: random.Random) -> bool:
    twos = ((number - 1) & -(number - 1)).bit_length() - 1
    odd = (number - 1) >> twos
    return all(
        _passes(pow(generator.randrange(2, number - 1), odd, number), twos, number)
        for _ in range(_ROUNDS)
    )


def _passes(power: int, twos: int, number: int) -> bool:
    if power in (1, number - 1):
        return True
    return any((power := power * power % number) == number - 1 for _ in range(twos - 1))
