"""The errors of Plumbline: each is permanent (dead-letter it) or retryable (raise it, be redelivered)."""

from __future__ import annotations

from typing import ClassVar


class PlumblineError(Exception):
    """Base of every error that Plumbline raises on purpose.

    ``code`` is stable and machine-readable, ``retryable`` decides between redelivery and the
    dead-letter queue, ``http_status`` is what an HTTP function answers (RFC 9457 problem document).
    """

    code: ClassVar[str] = "error"
    retryable: ClassVar[bool] = False
    http_status: ClassVar[int] = 500


class InvalidInput(PlumblineError):
    """Something handed in from outside is malformed; the message names the field."""

    code = "invalid_input"
    http_status = 400


class WrongMethod(InvalidInput):
    """An HTTP function was called with a method that it does not take."""

    code = "wrong_method"
    http_status = 405


class Unauthorized(PlumblineError):
    """The caller is not known, or may not do this."""

    code = "unauthorized"
    http_status = 403


class NotFound(PlumblineError):
    """What was asked for does not exist."""

    code = "not_found"
    http_status = 404


class IllegalTransition(PlumblineError):
    """The lifecycle does not allow this step from this state."""

    code = "illegal_transition"
    http_status = 409


class UndecodableLog(PlumblineError):
    """A log of a registered contract that its ABI or its mapping cannot explain."""

    code = "undecodable_log"
    http_status = 422


class CorruptEvent(PlumblineError):
    """A stored event that is not what its id or its hash says."""

    code = "corrupt_event"
    http_status = 422


class ConfigError(PlumblineError):
    """A setting or a registry file is wrong; stops the start and names the variable or the field."""

    code = "config_error"


class Conflict(PlumblineError):
    """Somebody else is at it (a lost race, a lease that is held); later it may work."""

    code = "conflict"
    retryable = True
    http_status = 503


class ChainUnavailable(PlumblineError):
    """No endpoint of the chain gave a usable answer."""

    code = "chain_unavailable"
    retryable = True
    http_status = 503


class RateLimited(ChainUnavailable):
    """An endpoint refused for the number of requests; ``retry_after_s`` is what it asked for, if it did."""

    code = "rate_limited"

    def __init__(self, message: str, retry_after_s: float | None = None) -> None:
        """Keep the pause that the endpoint asked for, in seconds."""
        super().__init__(message)
        self.retry_after_s = retry_after_s


class RangeRefused(ChainUnavailable):
    """An endpoint refused a log query for its range or the size of its result; ask for fewer blocks."""

    code = "range_refused"


class DoubtfulAnswer(ChainUnavailable):
    """An endpoint answered with what cannot be: it is doubted, and asked again or another in its place."""

    code = "doubtful_answer"


class OtherHistory(DoubtfulAnswer):
    """An endpoint is on another chain, or denies what is certified: until that is over nothing is read."""

    code = "other_history"


class SinkUnavailable(PlumblineError):
    """A sink of alerts did not take a notice; it is tried again."""

    code = "sink_unavailable"
    retryable = True
    http_status = 503


class FinalityViolation(PlumblineError):
    """A block that was final has another hash now: no reorg, but another chain; the listener stops."""

    code = "finality_violation"


class StoreUnavailable(PlumblineError):
    """The document store or the bus cannot be reached or written."""

    code = "store_unavailable"
    retryable = True
    http_status = 503
