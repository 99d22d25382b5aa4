"""What is wrong, in the words of each side: ebxml's faults as our problems, our problems as ebMS error codes."""

from __future__ import annotations

from ebxml.errors import ErrorCode, Fault, Violation
from hub.problem import Problem, Refused

FAULTS: dict[Fault, Problem] = {
    Fault.UNREADABLE: Problem.UNREADABLE, Fault.TOO_LARGE: Problem.TOO_LARGE, Fault.MISSING_PART: Problem.MISSING_PART,
    Fault.BAD_SIGNATURE: Problem.BAD_SIGNATURE, Fault.NOT_COVERED: Problem.NOT_COVERED, Fault.UNSIGNED: Problem.UNSIGNED,
    Fault.WRONG_SIGNER: Problem.WRONG_SIGNER, Fault.CERTIFICATE_EXPIRED: Problem.CERTIFICATE_EXPIRED,
    Fault.NOT_DECRYPTABLE: Problem.NOT_DECRYPTABLE, Fault.EXPIRED: Problem.EXPIRED, Fault.WRONG_PARTY: Problem.WRONG_PARTY,
    Fault.NOT_AS_AGREED: Problem.NOT_AS_AGREED,
    Fault.UNKNOWN_AGREEMENT: Problem.UNKNOWN_AGREEMENT, Fault.NOT_SUPPORTED: Problem.NOT_SUPPORTED,
}
"""ebxml's faults as our problems."""
_SECURITY = {
    Problem.BAD_SIGNATURE, Problem.NOT_COVERED, Problem.UNSIGNED, Problem.WRONG_SIGNER, Problem.CERTIFICATE_EXPIRED, Problem.NOT_DECRYPTABLE,
    Problem.NOT_AUTHENTICATED, Problem.LOGIN_REFUSED, Problem.LOGIN_TOO_WEAK, Problem.NOT_ALLOWED, Problem.CERTIFICATE_UNTRUSTED,
    Problem.CERTIFICATE_REVOKED,
}
EBMS: dict[Problem, ErrorCode] = dict.fromkeys(Problem, ErrorCode.UNKNOWN) | dict.fromkeys(_SECURITY, ErrorCode.SECURITY_FAILURE) | {
    Problem.UNREADABLE: ErrorCode.OTHER_XML, Problem.INVALID: ErrorCode.OTHER_XML, Problem.TOO_LARGE: ErrorCode.MIME_PROBLEM,
    Problem.MISSING_PART: ErrorCode.MIME_PROBLEM, Problem.UNKNOWN_PARTNER: ErrorCode.VALUE_NOT_RECOGNIZED,
    Problem.WRONG_PARTY: ErrorCode.INCONSISTENT, Problem.NOT_AS_AGREED: ErrorCode.INCONSISTENT, Problem.ALTERED_DUPLICATE: ErrorCode.INCONSISTENT,
    Problem.EXPIRED: ErrorCode.TIME_TO_LIVE_EXPIRED, Problem.UNKNOWN_AGREEMENT: ErrorCode.VALUE_NOT_RECOGNIZED,
    Problem.NOT_SUPPORTED: ErrorCode.NOT_SUPPORTED, Problem.UNKNOWN_FUNCTION: ErrorCode.VALUE_NOT_RECOGNIZED,
    Problem.UNKNOWN_REFERENCE: ErrorCode.VALUE_NOT_RECOGNIZED, Problem.UNAVAILABLE: ErrorCode.DELIVERY_FAILURE,
    Problem.NOT_DELIVERED: ErrorCode.DELIVERY_FAILURE,
}
"""Our problems as `eb:errorCode` (facts/ebxml.md 6)."""


def as_refused(wrong: Violation | Refused) -> Refused:
    """What the sender is told of; only a certificate that is not believed is refused in the hub's own words, and it stands in the signature."""
    if isinstance(wrong, Violation):
        return Refused(FAULTS[wrong.fault], wrong.description, wrong.location)
    return Refused(wrong.problem, wrong.detail, wrong.where or "//Header/Signature")
