"""Texts as plugins and hosts write them, from prose to what takes a token for nearly every byte."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from random import Random
from typing import Final

_WORDS: Final = {
    "english": "A flaw in the remote service lets an attacker run arbitrary code. Upgrade it. ",
    "german": "Auf dem entfernten Rechner wurde eine kritische Schwachstelle gefunden. ",
    "polish": "Wykryto krytyczną lukę w zabezpieczeniach zdalnego hosta. ",
    "russian": "На удалённом узле обнаружена критическая уязвимость. ",  # noqa: RUF001
    "greek": "Εντοπίστηκε κρίσιμη ευπάθεια στον απομακρυσμένο υπολογιστή. ",
    "chinese": "在远程主机上检测到一个严重漏洞。攻击者可以利用该漏洞执行任意代码。",
    "japanese": "リモートホストに重大な脆弱性が検出されました。",
    "korean": "원격 호스트에서 심각한 취약점이 발견되었습니다. ",
    "arabic": "تم اكتشاف ثغرة أمنية خطيرة في المضيف البعيد. ",
    "thai": "ตรวจพบช่องโหว่ร้ายแรงบนโฮสต์ระยะไกล ",
    "hindi": "दूरस्थ होस्ट पर एक गंभीर भेद्यता पाई गई। ",
    "georgian": "დისტანციურ ჰოსტზე აღმოჩენილია კრიტიკული დაუცველობა. ",
    "emoji": "🔥🚨🧨🛡️✅❌",
}


def dense_texts(length: int = 6_000) -> Mapping[str, str]:
    """By kind, each of about so many characters."""
    chance = Random(22)

    def some(count: int) -> bytes:
        return chance.randbytes(count)

    lines = range(length // 8)
    made = {
        "hex dump": " ".join(f"{byte:02X}" for byte in some(length // 3)),
        "fingerprints": "\n".join(some(32).hex() for _ in range(length // 65)),
        "keys": base64.encodebytes(some(length * 3 // 4)).decode(),
        "memory": "\n".join(
            f"0x{at:04X}:  {' '.join(f'{byte:02X}' for byte in some(16))}    ..aX..Z.09.@.$.b"
            for at in range(0, length // 4, 16)
        ),
        "packages": "\n".join(
            f"  openssl-libs-1.{n % 9}.{n}-{n % 31}.el8_6.x86_64|(none)" for n in lines
        ),
        "addresses": "\n".join(f"198.51.100.{n % 256} 443/tcp 2001:db8:{n:x}::1" for n in lines),
        "paths": "\n".join(
            rf"C:\Windows\WinSxS\amd64_{some(8).hex()}_10.0.17763.{n}\ntoskrnl.exe" for n in lines
        ),
        "ciphers": "\n".join(
            f"    ECDHE-RSA-AES256-GCM-SHA384   0xC0, 0x{n % 256:02X}   AES-GCM(256)" for n in lines
        ),
        "json": json.dumps([{"id": n, "ok": True, "at": f"198.51.100.{n % 256}"} for n in lines]),
        "cves": " ".join(f"CVE-{2000 + n % 27}-{1000 + 7 * n}" for n in lines),
        "box": "┌──────┬──────┐\n│ a    │ ✓ b  │\n" * (length // 32),
        **{name: words * (length // len(words)) for name, words in _WORDS.items()},
    }
    return {name: text[:length] for name, text in made.items()}
