"""Documents in Google Cloud Firestore."""

from __future__ import annotations

import random
import time
from contextlib import contextmanager
from threading import Lock
from typing import TYPE_CHECKING, Any, Final, TypeVar

from google.api_core import exceptions as google_errors
from google.api_core.retry import Retry, if_exception_type
from google.auth.exceptions import GoogleAuthError
from google.cloud import firestore
from google.cloud.firestore_v1.bulk_batch import BulkWriteBatch
from google.cloud.firestore_v1.field_path import FieldPath

from shared.adapters.document_values import encode
from shared.adapters.firestore_query import KEY, asked_by, where_all
from shared.adapters.firestore_values import from_firestore, to_firestore
from shared.domain.keys import can_be_key
from shared.errors import Conflict, InvalidInput, StoreUnavailable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from shared.adapters.firestore_watch import Window
    from shared.ports import Change, Document, Query, Transaction

T = TypeVar("T")

_TIMEOUT_S: Final = 30.0
_PASSING: Final = if_exception_type(
    google_errors.DeadlineExceeded, google_errors.InternalServerError, google_errors.ServiceUnavailable
)
_BATCH: Final = 500
_BATCH_BYTES: Final = 8_000_000
_ATTEMPTS: Final = 5
_ROUNDS: Final = 4
_FIRST_PAUSE_S: Final = 0.05
_OK, _ALREADY_EXISTS = 0, 6


class FirestoreDocuments:
    """The Documents port on one Firestore database; ``client`` replaces the one made on first use.

    A read is tried again for ``patience_s``; the library's own five minutes are longer than most functions
    may run, and than anybody waits at a terminal.
    A list cannot hold a list there: such a document raises InvalidInput, as does one above 1 MiB.
    Values that other applications stored and JSON does not have are read as strings (times as ISO 8601).
    """

    def __init__(
        self,
        project: str,
        database: str = "(default)",
        client: firestore.Client | None = None,
        *,
        patience_s: float = _TIMEOUT_S,
    ) -> None:
        self._name = f"Firestore {project}/{database}"
        self._project = project
        self._database = database
        self._given = client
        self._again = Retry(predicate=_PASSING, initial=0.1, multiplier=1.3, maximum=5.0, timeout=patience_s)
        self._lock = Lock()
        self._windows: dict[str, Window] = {}

    @property
    def _client(self) -> firestore.Client:
        with self._lock:
            if self._given is None:
                self._given = firestore.Client(project=self._project, database=self._database)
            return self._given

    def get(self, collection: str, key: str) -> Document | None:
        """Return the document, or None."""
        return self.get_many(collection, [key]).get(key)

    def get_many(
        self, collection: str, keys: Iterable[str], *, fields: Sequence[str] | None = None
    ) -> dict[str, Document]:
        """Return those of the documents that exist, by key; only ``fields`` travel."""
        mask = None if fields is None else [FieldPath(f).to_api_repr() for f in fields] or [KEY]
        with self._translated():
            return self._read(collection, keys, mask, None)

    def create(self, collection: str, key: str, document: Document) -> bool:
        """Write a new document; False if the key exists."""
        encode(collection, key, document)
        with self._translated():
            try:
                self._reference(collection, key).create(to_firestore(document), timeout=_TIMEOUT_S)
            except google_errors.AlreadyExists:
                return False
            return True

    def create_many(self, collection: str, documents: Mapping[str, Document]) -> set[str]:
        """Create each that does not exist, by BatchWrite, whose writes succeed or fail one by one."""
        there: set[str] = set()
        left = {key: len(encode(collection, key, document)) for key, document in documents.items()}
        for round_ in range(_ROUNDS):
            failed: dict[str, int] = {}
            for part in _parts(left):
                for key, code in self._create_part(collection, part, documents).items():
                    if code == _ALREADY_EXISTS:
                        there.add(key)
                    elif code != _OK:
                        failed[key] = code
            if not failed:
                return there
            left = {key: left[key] for key in failed}
            _pause(round_)
        raise StoreUnavailable(f"{self._name}: {len(left)} of {len(documents)} documents not written")

    def put(self, collection: str, key: str, document: Document) -> None:
        """Write, replacing the whole document."""
        encode(collection, key, document)
        with self._translated():
            self._reference(collection, key).set(to_firestore(document), timeout=_TIMEOUT_S)

    def delete(self, collection: str, key: str) -> None:
        """Delete; deleting what is not there is no error."""
        if can_be_key(key):
            with self._translated():
                self._reference(collection, key).delete(timeout=_TIMEOUT_S)

    def query(self, collection: str, query: Query) -> list[tuple[str, Document]]:
        """Return (key, document) pairs that match, in order."""
        if query.limit == 0:
            return []
        with self._translated():
            asked = asked_by(self._client.collection(collection), query)
            found = asked.get(retry=self._again, timeout=_TIMEOUT_S)
            return [(each.id, from_firestore(each.to_dict())) for each in found]

    def count(self, collection: str, where: tuple[tuple[str, Any], ...] = ()) -> int:
        """Count the documents that match all (field, value) pairs, on the server."""
        with self._translated():
            counting: Any = where_all(self._client.collection(collection), where).count()
            return int(counting.get(retry=self._again, timeout=_TIMEOUT_S)[0][0].value)

    def transaction(self, work: Callable[[Transaction], T]) -> T:
        """Run ``work`` atomically; under contention it runs again, up to 20 times, then Conflict."""
        for round_ in range(_ROUNDS):
            try:
                return self._attempt(work)
            except google_errors.Aborted:
                _pause(round_)
        raise Conflict(f"{self._name}: other transactions kept changing the same documents")

    def watch(self, collection: str, after: str | None, limit: int, *, bodies: bool = True) -> list[Change]:
        """Return documents that carry ``audit.storedAt``, by that time (see ``Window`` for its limits).

        For the laptop: in the cloud Firestore's own trigger tells of new documents.
        """
        from shared.adapters.firestore_watch import Reader, Window  # noqa: PLC0415 - no function watches

        with self._lock:
            window = self._windows.setdefault(collection, Window())
        return window.read(Reader(self, collection, bodies), after, limit)

    def close(self) -> None:
        """Give back the connections."""
        with self._lock:
            if self._given is not None:
                self._given.close()  # type: ignore[no-untyped-call]

    def _attempt(self, work: Callable[[Transaction], T]) -> T:
        """Run the library's own loop once; raises Aborted where it gave up."""
        with self._translated(contention=True):
            transaction = self._client.transaction(max_attempts=_ATTEMPTS)
            attempt = firestore.transactional(lambda inner: work(_FirestoreTransaction(self, inner)))
            try:
                result: T = attempt(transaction)
            except google_errors.AlreadyExists as error:
                raise Conflict(f"{self._name}: a document to create exists already") from error
            except ValueError as error:
                # The library says ValueError when it gives up, and again when there is nothing to roll
                # back after a failed begin; what happened is behind it.
                cause = error.__cause__ or error.__context__
                if isinstance(cause, google_errors.GoogleAPICallError):
                    raise cause from error
                raise
            return result

    def _create_part(
        self, collection: str, keys: Sequence[str], documents: Mapping[str, Document]
    ) -> dict[str, int]:
        with self._translated():
            batch = BulkWriteBatch(self._client)
            for key in keys:
                batch.create(self._reference(collection, key), to_firestore(documents[key]))
            response = batch.commit(timeout=_TIMEOUT_S)
        return {key: status.code for key, status in zip(keys, response.status, strict=True)}

    def _read(
        self,
        collection: str,
        keys: Iterable[str],
        mask: Sequence[str] | None,
        transaction: firestore.Transaction | None,
    ) -> dict[str, Document]:
        wanted = [key for key in dict.fromkeys(keys) if can_be_key(key)]
        found = {}
        for start in range(0, len(wanted), _BATCH):
            references = [self._reference(collection, key) for key in wanted[start : start + _BATCH]]
            snapshots = self._client.get_all(
                references, field_paths=mask, transaction=transaction, retry=self._again, timeout=_TIMEOUT_S
            )
            found.update({each.id: from_firestore(each.to_dict()) for each in snapshots if each.exists})
        return found

    def _reference(self, collection: str, key: str) -> firestore.DocumentReference:
        return self._client.collection(collection).document(key)

    @contextmanager
    def _translated(self, *, contention: bool = False) -> Iterator[None]:
        """Turn Google's errors into ours; with ``contention`` Aborted passes, to be tried again."""
        try:
            yield
        except google_errors.InvalidArgument as error:
            raise InvalidInput(f"{self._name} refuses the document: {error.message}") from error
        except google_errors.Aborted as error:
            if contention:
                raise
            raise StoreUnavailable(f"{self._name}: Aborted") from error
        except GoogleAuthError as error:
            hint = "gcloud auth application-default login"
            raise StoreUnavailable(f"{self._name}: {type(error).__name__} ({hint})") from error
        except google_errors.GoogleAPIError as error:
            reason = error.cause if isinstance(error, google_errors.RetryError) else error
            raise StoreUnavailable(f"{self._name}: {type(reason).__name__}") from error


class _FirestoreTransaction:
    """One attempt; the library keeps the writes until its commit."""

    def __init__(self, documents: FirestoreDocuments, transaction: firestore.Transaction) -> None:
        self._documents = documents
        self._transaction = transaction
        self._wrote = False

    def get(self, collection: str, key: str) -> Document | None:
        """Return the document as of this transaction, or None."""
        return self.get_many(collection, [key]).get(key)

    def get_many(self, collection: str, keys: Iterable[str]) -> dict[str, Document]:
        """Return those of the documents that exist, as of this transaction."""
        if self._wrote:
            raise RuntimeError("a transaction reads before its first write")
        return self._documents._read(collection, keys, None, self._transaction)  # noqa: SLF001 - one adapter

    def create(self, collection: str, key: str, document: Document) -> None:
        """Write a new document at commit."""
        self._transaction.create(self._written(collection, key, document), to_firestore(document))

    def put(self, collection: str, key: str, document: Document) -> None:
        """Write at commit."""
        self._transaction.set(self._written(collection, key, document), to_firestore(document))

    def delete(self, collection: str, key: str) -> None:
        """Delete at commit."""
        self._wrote = True
        if can_be_key(key):
            self._transaction.delete(self._documents._reference(collection, key))  # noqa: SLF001

    def _written(self, collection: str, key: str, document: Document) -> firestore.DocumentReference:
        self._wrote = True
        encode(collection, key, document)
        return self._documents._reference(collection, key)  # noqa: SLF001


def _parts(sizes: Mapping[str, int]) -> Iterator[list[str]]:
    """Yield the keys in batches that one request can carry."""
    part: list[str] = []
    size = 0
    for key, each in sizes.items():
        if part and (len(part) == _BATCH or size + each > _BATCH_BYTES):
            yield part
            part, size = [], 0
        part.append(key)
        size += each
    if part:
        yield part


def _pause(round_: int) -> None:
    """Wait a random while that doubles with each round, so that contenders part."""
    time.sleep(_FIRST_PAUSE_S * 2**round_ * random.uniform(0.5, 1.5))  # noqa: S311 - spreads load, no secret
