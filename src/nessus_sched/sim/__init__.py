"""A simulated Nessus for the demo, for our tests and for yours.

`SimulatedNessus` is the state without I/O, `respond` its HTTP interface without sockets,
`asgi_app` an ASGI application, `serve_sim` an HTTPS server. `Fault` injects failures.
"""

from nessus_sched.sim.api import respond
from nessus_sched.sim.app import ConnectionBroken, asgi_app
from nessus_sched.sim.faults import Fault, FaultKind
from nessus_sched.sim.ledger import Ledger
from nessus_sched.sim.options import SimOptions
from nessus_sched.sim.refusals import Refusal
from nessus_sched.sim.serve import RunningSim, serve_sim
from nessus_sched.sim.state import SimulatedNessus

__all__ = [
    "ConnectionBroken",
    "Fault",
    "FaultKind",
    "Ledger",
    "Refusal",
    "RunningSim",
    "SimOptions",
    "SimulatedNessus",
    "asgi_app",
    "respond",
    "serve_sim",
]
