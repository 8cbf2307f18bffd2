"""A lease in the store: of several processes that could do a job, one does it."""

from __future__ import annotations

from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Final, Self
from uuid import uuid4

from shared.errors import Conflict

if TYPE_CHECKING:
    from collections.abc import Iterator

    from shared.ports import Clock, Document, Documents, Processes, Transaction

LEASES: Final = "leases"


class Lease:
    """``leases/{name}``: who holds it, until when, and the fence number, which grows with each holder.

    Whoever was paused past ``ttl_s`` does not know that it lost the lease. So a holder's writes carry
    ``fence``, and what it writes to refuses a fence lower than the highest that it has seen.

    ``processes``: where a holder's process is known to have ended, nobody waits for its time to pass.
    """

    def __init__(
        self,
        documents: Documents,
        clock: Clock,
        name: str,
        ttl_s: float,
        owner: str | None = None,
        processes: Processes | None = None,
    ) -> None:
        self._documents = documents
        self._clock = clock
        self._name = name
        self._ttl = timedelta(seconds=ttl_s)
        self._owner = owner or uuid4().hex
        self._processes = processes
        self._fence = 0
        self._renew_at = 0.0

    @property
    def fence(self) -> int:
        """The fence number of this holder; 0 while it holds nothing."""
        return self._fence

    def acquire(self) -> int:
        """Take the lease and return its fence; raises Conflict while another holds it and it runs."""

        def work(transaction: Transaction) -> int:
            lease = transaction.get(LEASES, self._name)
            if lease and lease.get("owner") != self._owner and self._runs(lease):
                raise Conflict(f"{self._name} is held by another until {lease['expiresAt']}")
            last = lease.get("fence") if lease else None
            fence = max(last, 0) + 1 if isinstance(last, int) else 1
            self._write(transaction, fence, self._ttl)
            return fence

        self._fence = self._documents.transaction(work)
        self._plan_renewal()
        return self._fence

    def renew(self) -> None:
        """Make the lease run for its whole time again, once a third of it has passed.

        Raises Conflict where another has taken it meanwhile, or nothing is held.
        """
        if self._fence and self._clock.monotonic_s() < self._renew_at:
            return

        def work(transaction: Transaction) -> None:
            if not self._is_ours(transaction):
                raise Conflict(f"{self._name} was lost to another holder")
            self._write(transaction, self._fence, self._ttl)

        try:
            self._documents.transaction(work)
        except Conflict:
            self._fence = 0
            raise
        self._plan_renewal()

    def release(self) -> None:
        """Give the lease back, so that another need not wait; nothing if it is not held any more."""

        def work(transaction: Transaction) -> None:
            if self._is_ours(transaction):
                self._write(transaction, self._fence, timedelta(0))

        if self._fence:
            self._documents.transaction(work)
            self._fence = 0

    def drop(self) -> None:
        """Forget about holding it, without a word to the store; the same owner may acquire at once."""
        self._fence = 0

    @contextmanager
    def held(self) -> Iterator[Self]:
        """Hold the lease for the duration of the block; raises Conflict while another holds it."""
        self.acquire()
        try:
            yield self
        finally:
            self.release()

    def _runs(self, lease: Document) -> bool:
        try:
            if datetime.fromisoformat(str(lease.get("expiresAt"))) <= self._clock.now():
                return False
        except (TypeError, ValueError):
            return False  # edited by hand: no holder wrote it
        process = lease.get("process")
        return not (self._processes and isinstance(process, str) and self._processes.has_ended(process))

    def _is_ours(self, transaction: Transaction) -> bool:
        lease = transaction.get(LEASES, self._name)
        return bool(self._fence) and lease is not None and lease.get("fence") == self._fence

    def _write(self, transaction: Transaction, fence: int, ttl: timedelta) -> None:
        expires_at = (self._clock.now() + ttl).isoformat()
        lease = {"owner": self._owner, "fence": fence, "expiresAt": expires_at}
        if self._processes and (process := self._processes.this):
            lease["process"] = process
        transaction.put(LEASES, self._name, lease)

    def _plan_renewal(self) -> None:
        self._renew_at = self._clock.monotonic_s() + self._ttl.total_seconds() / 3
