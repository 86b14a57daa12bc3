"""The HTTP face of the simulated Nessus: routes, handlers, and what they answer."""

from nessus_sched.sim.api.dispatch import respond

__all__ = ["respond"]
