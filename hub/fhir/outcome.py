"""OperationOutcome: every error of the FHIR face, from one complete table."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Any

import orjson

from hub.problem import Issue, Problem

SYSTEM = "https://besoksbro.example/fhir/CodeSystem/problem"
RULE_SYSTEM = "https://besoksbro.example/fhir/CodeSystem/rule"
ALTERNATIVE = "https://besoksbro.example/fhir/StructureDefinition/alternative"
OUTCOME: dict[Problem, tuple[int, str]] = {
    Problem.UNREADABLE: (400, "structure"), Problem.TOO_LARGE: (413, "too-long"), Problem.UNKNOWN_PARTNER: (404, "not-found"),
    Problem.WRONG_PARTY: (403, "forbidden"), Problem.BAD_SIGNATURE: (401, "security"), Problem.NOT_COVERED: (401, "security"),
    Problem.UNSIGNED: (401, "security"), Problem.WRONG_SIGNER: (401, "security"), Problem.CERTIFICATE_EXPIRED: (401, "expired"),
    Problem.CERTIFICATE_UNTRUSTED: (401, "security"), Problem.CERTIFICATE_REVOKED: (401, "security"),
    Problem.NOT_DECRYPTABLE: (400, "security"), Problem.ALTERED_DUPLICATE: (409, "duplicate"), Problem.EXPIRED: (422, "expired"),
    Problem.UNKNOWN_AGREEMENT: (404, "not-found"), Problem.MISSING_PART: (400, "structure"), Problem.NOT_SUPPORTED: (501, "not-supported"),
    Problem.TEST_MESSAGE: (422, "business-rule"), Problem.NOT_AS_AGREED: (422, "business-rule"), Problem.RECEIPT_DIFFERS: (422, "business-rule"),
    Problem.LOGIN_REFUSED: (401, "login"), Problem.LOGIN_TOO_WEAK: (403, "login"),
    Problem.NOT_AUTHENTICATED: (401, "login"), Problem.INVALID: (422, "invalid"), Problem.UNKNOWN_CODE: (422, "code-invalid"),
    Problem.UNKNOWN_FUNCTION: (404, "not-supported"), Problem.UNKNOWN_PERSON: (422, "not-found"), Problem.UNKNOWN_SERVICE: (422, "not-found"),
    Problem.UNKNOWN_BOOKING: (404, "not-found"), Problem.OUT_OF_DATE: (412, "conflict"), Problem.NOT_ALLOWED: (403, "forbidden"),
    Problem.UNKNOWN_REFERENCE: (404, "not-found"), Problem.OUTSIDE_OPENING_HOURS: (422, "business-rule"),
    Problem.FULL: (409, "conflict"), Problem.BEYOND_HORIZON: (422, "business-rule"), Problem.TOO_LATE: (422, "business-rule"),
    Problem.NO_DECISION: (422, "business-rule"), Problem.DECISION_USED_UP: (422, "business-rule"),
    Problem.IMPOSSIBLE_CHANGE: (422, "business-rule"), Problem.OVERLAPS_OWN: (422, "business-rule"), Problem.NO_SUCH_TIME: (422, "value"),
    Problem.HOLD_EXPIRED: (409, "expired"), Problem.PAUSED: (422, "business-rule"),
    Problem.ALREADY_WAITING: (409, "duplicate"), Problem.TIME_IS_FREE: (409, "conflict"), Problem.OFFER_EXPIRED: (409, "expired"),
    Problem.REASON_MISSING: (422, "required"), Problem.LENGTH_NOT_OFFERED: (422, "business-rule"),
    Problem.PAST: (422, "business-rule"), Problem.OFF_GRID: (422, "business-rule"),
    Problem.MESSAGE_LENGTH: (422, "business-rule"), Problem.MESSAGES_TODAY: (429, "throttled"), Problem.NO_MESSAGES: (422, "business-rule"),
    Problem.UNKNOWN_THREAD: (404, "not-found"), Problem.MANDATE_EXISTS: (409, "duplicate"), Problem.MANDATES_ENOUGH: (422, "business-rule"),
    Problem.MANDATE_TO_SELF: (422, "business-rule"),
    Problem.ATTACHMENT_KIND: (422, "not-supported"), Problem.ATTACHMENTS_TOO_LARGE: (422, "too-long"),
    Problem.UNKNOWN_RESOURCE: (404, "not-found"), Problem.DELETED: (410, "deleted"), Problem.BAD_SEARCH: (400, "invalid"),
    Problem.NOT_ACCEPTABLE: (406, "not-supported"), Problem.MANY_MATCHES: (412, "multiple-matches"), Problem.IN_USE: (409, "conflict"),
    Problem.WRONG_MEDIA_TYPE: (415, "not-supported"), Problem.NO_SUCH_INTERACTION: (405, "not-supported"), Problem.BAD_PATCH: (422, "processing"),
    Problem.RECEIVER_GONE: (502, "incomplete"),
    Problem.BAD_TOKEN: (401, "login"), Problem.BAD_PROOF: (401, "login"), Problem.DPOP_NONCE: (401, "login"),
    Problem.SCOPE_MISSING: (403, "forbidden"), Problem.TOO_MANY: (429, "throttled"), Problem.BAD_CLIENT: (401, "login"),
    Problem.BAD_GRANT: (400, "invalid"), Problem.BAD_SUBSCRIPTION: (422, "not-supported"),
    Problem.BAD_EXPORT: (400, "invalid"), Problem.NOT_SYNTHETIC: (422, "business-rule"),
    Problem.OTHER_RESOURCE: (400, "invalid"),
    Problem.UNAVAILABLE: (503, "transient"), Problem.NOT_DELIVERED: (502, "incomplete"),
}
"""Problem → (HTTP status, issue code)."""


def outcome(
    problem: Problem, diagnostics: str = "", expression: str = "", issues: Sequence[Issue] = (), instead: Sequence[tuple[datetime, datetime]] = (),
) -> bytes:
    """The resource as JSON: of one problem, or of all the issues that a resource has. `instead` are free times, [from, until), that could be asked
    for: the extension `alternative` (Period) of the first issue."""
    told = [_issue(issue) for issue in issues or [Issue(OUTCOME[problem][1], expression, diagnostics, problem)]]
    if instead:
        told[0] = {"extension": [{"url": ALTERNATIVE, "valuePeriod": {"start": _utc(a), "end": _utc(b)}} for a, b in instead], **told[0]}
    return _told(told)


def _utc(at: datetime) -> str:
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def validated(issues: Sequence[Issue]) -> bytes:
    """The answer of `$validate`: every issue, or one that says that there is none."""
    return _told([_issue(issue) for issue in issues]) if issues else informed("no issues found")


def ignored(names: Iterable[str]) -> bytes | None:
    """The entry of a searchset that tells what was ignored, which is no error there (R4 3.1.1.5.12); None: nothing was."""
    text = ", ".join(names)
    return _told([_issue(Issue("not-supported", "", f"ignored: {text}", Problem.BAD_SEARCH, severity="warning"))]) if text else None


def informed(text: str) -> bytes:
    """That it worked, for `Prefer: return=OperationOutcome`."""
    return _told([{"severity": "information", "code": "informational", "diagnostics": text}])


def _issue(issue: Issue) -> dict[str, Any]:
    """`details` holds the number of the problem and, of an invariant, its key."""
    codings = [{"system": SYSTEM, "code": issue.problem.value, "display": issue.problem.name}]
    if issue.rule:
        codings.append({"system": RULE_SYSTEM, "code": issue.rule})
    made: dict[str, Any] = {"severity": issue.severity, "code": issue.code, "details": {"coding": codings, "text": issue.problem.text}}
    if issue.text:
        made["diagnostics"] = issue.text
    if issue.expression:
        made["expression"] = [issue.expression]
    return made


def _told(issues: list[dict[str, Any]]) -> bytes:
    return orjson.dumps({"resourceType": "OperationOutcome", "issue": issues})
