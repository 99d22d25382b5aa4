"""What is wrong with a message, in ebMS 2.0's own words (section 4.2.3 of the standard; facts/ebxml.md 6)."""

from __future__ import annotations

from enum import StrEnum


class ErrorCode(StrEnum):
    """`eb:errorCode`."""

    VALUE_NOT_RECOGNIZED = "ValueNotRecognized"
    NOT_SUPPORTED = "NotSupported"
    INCONSISTENT = "Inconsistent"
    OTHER_XML = "OtherXml"
    DELIVERY_FAILURE = "DeliveryFailure"
    TIME_TO_LIVE_EXPIRED = "TimeToLiveExpired"
    SECURITY_FAILURE = "SecurityFailure"
    MIME_PROBLEM = "MimeProblem"
    UNKNOWN = "Unknown"


class Fault(StrEnum):
    """Which rule was broken, finer than the error code: what a receiver may want to tell apart."""

    UNREADABLE = "unreadable"
    TOO_LARGE = "too-large"
    MISSING_PART = "missing-part"
    BAD_SIGNATURE = "bad-signature"
    NOT_COVERED = "not-covered"
    UNSIGNED = "unsigned"
    WRONG_SIGNER = "wrong-signer"
    CERTIFICATE_EXPIRED = "certificate-expired"
    NOT_DECRYPTABLE = "not-decryptable"
    EXPIRED = "expired"
    WRONG_PARTY = "wrong-party"
    NOT_AS_AGREED = "not-as-agreed"
    UNKNOWN_AGREEMENT = "unknown-agreement"
    NOT_SUPPORTED = "not-supported"


class Violation(Exception):
    """A message breaks a rule. `location` is an XPath or a `cid:`; the text never holds what the message says."""

    def __init__(self, code: ErrorCode, description: str, location: str = "", fault: Fault = Fault.UNREADABLE) -> None:
        super().__init__(f"{code}: {description}" + (f" at {location}" if location else ""))
        self.code = code
        self.description = description
        self.location = location
        self.fault = fault
