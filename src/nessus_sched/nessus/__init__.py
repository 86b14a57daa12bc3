"""Client for the Nessus REST API."""

from nessus_sched.nessus.client import NessusScanner
from nessus_sched.nessus.requests import OnRequest, RequestRecord
from nessus_sched.net.tls import fetch_fingerprint

__all__ = ["NessusScanner", "OnRequest", "RequestRecord", "fetch_fingerprint"]
