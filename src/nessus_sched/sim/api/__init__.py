"""The HTTP interface of the simulated Nessus: routes and handlers."""

from nessus_sched.sim.api.dispatch import respond

__all__ = ["respond"]
