"""The register of exceptions for findings: proposals, decisions of people, and their ends.

Every change is journaled. An exception that has ended stays ended however the wall clock is set,
because its status is stored; only a person can extend it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

import attrs
import trio

from nessus_sched.core.exceptions.exception import (
    Decision,
    ExceptionStatus,
    FindingException,
    PluginFacts,
)
from nessus_sched.core.exceptions.rule import Rule
from nessus_sched.core.ids import new_exception_id
from nessus_sched.core.journal import SYSTEM, JournalEntry
from nessus_sched.core.store_errors import StoreUnavailable
from nessus_sched.core.targets.targets import printable
from nessus_sched.core.task import Submitter
from nessus_sched.core.text import did_you_mean
from nessus_sched.scheduler.context import Context
from nessus_sched.scheduler.errors import NotPossible, RequestError, StoreDown
from nessus_sched.telemetry import events

_BECOMES: Final = {
    Decision.APPROVE: (ExceptionStatus.APPROVED, "approved"),
    Decision.REJECT: (ExceptionStatus.REJECTED, "rejected"),
    Decision.REVOKE: (ExceptionStatus.REVOKED, "revoked"),
    Decision.EXTEND: (ExceptionStatus.APPROVED, "extended"),
}
"""The status after each decision, and what the journal calls it."""


class UnknownException(RequestError):
    code = "unknown_exception"


class SecondPersonNeeded(RequestError):
    code = "second_person_needed"


@attrs.frozen(kw_only=True)
class Decider:
    """A person who decides; `actor` as in the journal."""

    actor: str
    submitter: Submitter | None = None


class Exceptions:
    """The exceptions of the store, in memory. Commands may raise `RequestError`."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._by_id: dict[str, FindingException] = {}
        self._changed = trio.Event()
        self._turn = trio.Lock()
        self.on_change: Callable[[], None] = lambda: None
        """Called when another set of exceptions may be in force."""

    async def restore(self) -> None:
        """Reads the exceptions of the store. Raises `StoreUnavailable`."""
        found = await self._context.store.exceptions()
        self._by_id = {each.exception_id: each for each in found}

    async def run(self) -> None:
        """Ends what is due, and announces it beforehand, until canceled."""
        while True:
            self._changed = trio.Event()
            looked = self._context.wall()
            await self.look()
            # What was due already could not be stored, and is tried again at the next regular look.
            soon = min((at for at in self._moments() if at > looked), default=math.inf)
            wait = max(soon - self._context.wall(), 0)
            with trio.move_on_after(min(wait, self._context.clock_checks)):
                await self._changed.wait()

    async def look(self) -> None:
        """Ends what is due now, and announces what ends soon."""
        async with self._turn:
            for exception in list(self._by_id.values()):
                try:
                    await self._look_at(exception)
                except StoreUnavailable as error:
                    self._context.log.warning(events.STORE_UNAVAILABLE, reason=str(error))
                    return

    def all(self) -> list[FindingException]:
        """All exceptions, oldest first."""
        return list(self._by_id.values())

    def in_force(self) -> list[FindingException]:
        now = self._context.wall()
        return [each for each in self._by_id.values() if each.in_force(now)]

    def named(self, exception_id: str) -> FindingException:
        """Raises `UnknownException`."""
        found = self._by_id.get(exception_id)
        if found is None:
            near = did_you_mean(exception_id, self._by_id)
            raise UnknownException(
                f"no exception {printable(exception_id)!r}{near}",
                hint="list_exceptions shows them",
            )
        return found

    def like(self, rule: Rule) -> list[FindingException]:
        """Those with that very rule, oldest first."""
        return [each for each in self._by_id.values() if each.rule == rule]

    def check_decider(self, proposer: str, decider: str) -> None:
        """Raises `SecondPersonNeeded`."""
        if self._context.config.exceptions.second_person and proposer == decider:
            raise SecondPersonNeeded(
                "another user than the one who proposed it has to approve or extend it "
                "(exceptions.second_person)"
            )

    async def propose(
        self, exception: FindingException, approver: Decider | None = None
    ) -> FindingException:
        """Stores a new exception, whose id is not set yet; with an `approver`, an approved one."""
        async with self._turn:
            if approver is not None:
                self.check_decider(exception.actor, approver.actor)
            self.check_room(exception.rule)
            new_id = new_exception_id(self._context.random, exception.proposed_at)
            exception = attrs.evolve(exception, exception_id=new_id)
            entries = [self._entry(exception, "proposed", exception.actor, exception.reason)]
            if approver is not None:
                exception = self._decided(exception, Decision.APPROVE, approver)
                entries.append(self._entry(exception, "approved", approver.actor))
            await self._save(exception, *entries)
            return exception

    async def decide(
        self,
        exception_id: str,
        decision: Decision,
        by: Decider,
        *,
        cause: str = "",
        **terms: Any,
    ) -> FindingException:
        """Carries out the decision of a person. To extend an exception, `terms` has the new
        `expires`, and may have another `reason` and `owner`."""
        async with self._turn:
            exception = self.named(exception_id)
            now = self._context.wall()
            if exception.status is ExceptionStatus.PROPOSED and exception.expires <= now:
                raise NotPossible(f"the end of exception {exception_id} has passed")
            if not exception.may_be(decision):
                raise NotPossible(_why_not(exception, decision))
            if decision in (Decision.APPROVE, Decision.EXTEND):
                self.check_decider(exception.actor, by.actor)
            if decision is Decision.EXTEND and not exception.open:
                self.check_room(exception.rule)
            after = self._decided(exception, decision, by, cause)
            if decision is Decision.EXTEND:
                after = attrs.evolve(after, **terms, announced=False, known={})
            await self._save(after, self._entry(after, _BECOMES[decision][1], by.actor, cause))
            return after

    async def observed(
        self, found: Mapping[str, Mapping[int, PluginFacts]], at: float = math.inf
    ) -> None:
        """What a scan that ended at `at` says about the plugins of exceptions, on the hosts that
        they cover: ends those that were approved for something else, unless they were approved
        later than that. Raises `StoreUnavailable`."""
        async with self._turn:
            for exception_id, facts in found.items():
                exception = self._by_id.get(exception_id)
                if exception is None or exception.status is not ExceptionStatus.APPROVED:
                    continue
                if exception.decided_at is not None and exception.decided_at < at:
                    await self._observe(exception, facts)

    async def _observe(self, exception: FindingException, facts: Mapping[int, PluginFacts]) -> None:
        after = exception
        for plugin, now in facts.items():
            if (cause := exception.lapse(plugin, now)) is not None:
                await self._end(exception, ExceptionStatus.LAPSED, cause)
                return
            after = after.learned(plugin, now)
        if after != exception:
            await self._store(after)

    def check_room(self, rule: Rule) -> None:
        """Raises `NotPossible` if there is no room for another open exception with that rule."""
        for each in self.like(rule):
            if each.open:
                raise NotPossible(
                    f"exception {each.exception_id} has the same rule and is {each.status}",
                    hint="decide about that one",
                )
        most = self._context.config.exceptions.max_exceptions
        count = sum(each.open for each in self._by_id.values())
        if count >= most:
            raise NotPossible(
                f"there are {count} open exceptions already",
                hint="reject or revoke some, or have the operator raise exceptions.max_exceptions",
            )

    def _decided(
        self, exception: FindingException, decision: Decision, by: Decider, cause: str = ""
    ) -> FindingException:
        now = self._context.wall()
        status = _BECOMES[decision][0]
        return attrs.evolve(
            exception,
            status=status,
            approved_at=now if decision is Decision.APPROVE else exception.approved_at,
            decided_by=by.actor,
            decider=by.submitter,
            decided_at=now,
            cause="" if status is ExceptionStatus.APPROVED else cause,
            ended_at=None if status is ExceptionStatus.APPROVED else now,
        )

    async def _look_at(self, exception: FindingException) -> None:
        now = self._context.wall()
        if not exception.open:
            return
        if exception.expires <= now:
            never = exception.status is ExceptionStatus.PROPOSED
            await self._end(
                exception, ExceptionStatus.EXPIRED, "it was not approved in time" if never else ""
            )
            return
        notice = exception.notice_at(self._context.config.exceptions.notice)
        if notice is not None and notice <= now:
            announced = attrs.evolve(exception, announced=True)
            await self._store(announced, self._entry(announced, "expiring", SYSTEM))
            self._context.log.warning(
                events.EXCEPTION_EXPIRING,
                exception=exception.exception_id,
                owner=self._context.mask(exception.owner),
                seconds=round(exception.expires - now),
            )

    async def _end(self, exception: FindingException, status: ExceptionStatus, cause: str) -> None:
        ended = self._context.wall()
        after = attrs.evolve(exception, status=status, cause=cause, ended_at=ended)
        await self._store(after, self._entry(after, status, SYSTEM, cause))
        self._note_change(after, status, SYSTEM)

    def _moments(self) -> Iterator[float]:
        """When exceptions end or their ends have to be announced."""
        notice = self._context.config.exceptions.notice
        for each in self._by_id.values():
            if each.open:
                yield each.expires
            if (announced := each.notice_at(notice)) is not None:
                yield announced

    async def _save(self, exception: FindingException, *entries: JournalEntry) -> None:
        try:
            await self._store(exception, *entries)
        except StoreUnavailable as error:
            raise StoreDown(f"nothing was changed: {error}") from error
        for entry in entries:
            self._note_change(exception, entry.event.removeprefix("exception_"), entry.actor)

    async def _store(self, exception: FindingException, *entries: JournalEntry) -> None:
        """Stores a change, and forgets the exceptions that ended longest ago if there are too
        many. Raises `StoreUnavailable`."""
        changed = {**self._by_id, exception.exception_id: exception}
        ended = sorted(
            (each for each in changed.values() if not each.open),
            key=lambda each: each.ended_at or 0.0,
        )
        most = self._context.config.exceptions.max_exceptions
        forget = [each.exception_id for each in ended[: max(len(ended) - most, 0)]]
        await self._context.store.save_exception(exception, *entries, forget=forget)
        self._by_id = {name: each for name, each in changed.items() if name not in forget}

    def _note_change(self, exception: FindingException, change: str, actor: str) -> None:
        self._context.log.info(
            events.EXCEPTION_CHANGED,
            exception=exception.exception_id,
            change=change,
            actor=actor,
            reason=self._context.mask(exception.cause),
        )
        self._changed.set()
        self.on_change()

    def _entry(
        self, exception: FindingException, change: str, actor: str, cause: str = ""
    ) -> JournalEntry:
        rule = exception.rule
        detail: dict[str, Any] = {
            "exception_id": exception.exception_id,
            "kind": rule.kind,
            "plugins": list(rule.plugins),
            "cves": list(rule.cves),
            "hosts": list(rule.hosts),
            "port": rule.port_text,
            "severity": rule.severity,
            "reason": exception.reason,
            "owner": exception.owner,
            "expires": exception.expires,
        }
        return JournalEntry(
            at=self._context.wall(),
            event=f"exception_{change}",
            actor=actor,
            cause=self._context.mask(cause),
            detail=self._context.mask.masked(detail),
        )


def _why_not(exception: FindingException, decision: Decision) -> str:
    if decision is Decision.EXTEND and exception.approved_at is None:
        return f"exception {exception.exception_id} was never approved"
    return f"exception {exception.exception_id} is {exception.status}"
