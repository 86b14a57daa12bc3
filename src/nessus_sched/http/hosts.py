"""By which names we may be asked: the defense against DNS rebinding.

A web page that makes its own name point to our address is asked for by that name, so an
address as the host is harmless, and so are names that only the operator can give.
"""

from __future__ import annotations

import ipaddress
import re
from typing import Final

_HOST: Final = re.compile(r"(\[[0-9a-fA-F:.]+\]|[^\[\]:@/]+)(?::[0-9]{1,5})?")


def host_allowed(host: str, names: frozenset[str]) -> bool:
    """Whether a Host header may stand on a request; `names` are in lower case."""
    found = _HOST.fullmatch(host)
    if found is None:
        return False
    name = found[1].lower().rstrip(".")
    return name == "localhost" or name in names or _is_address(name)


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name.strip("[]"))
    except ValueError:
        return False
    return True
