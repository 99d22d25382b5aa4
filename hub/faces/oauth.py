"""OAuth over HTTP: the token endpoint, our keys, the metadata that clients look for, and the gate in front of the faces that machines use."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from concurrent.futures import Executor
from typing import Any
from urllib.parse import parse_qsl

import orjson

from hub.faces import conformance
from hub.faces.formats import told
from hub.faces.interaction import MIRRORED, Answer, Asked, allow, below, headers_of, read_body, respond
from hub.fhir.outcome import OUTCOME
from hub.oauth import jose
from hub.oauth.gate import Call, Gate, NotAdmitted
from hub.oauth.issuing import Issuing, Request
from hub.oauth.tokens import Signing
from hub.problem import Problem, Refused, Unavailable
from hub.scopes import needed

log = logging.getLogger(__name__)
LARGEST_FORM = 64 * 1024
ERRORS: dict[Problem, tuple[int, str]] = {
    Problem.BAD_CLIENT: (401, "invalid_client"), Problem.BAD_GRANT: (400, "unsupported_grant_type"),
    Problem.BAD_PROOF: (400, "invalid_dpop_proof"), Problem.DPOP_NONCE: (400, "use_dpop_nonce"),
    Problem.SCOPE_MISSING: (400, "invalid_scope"), Problem.TOO_MANY: (429, "slow_down"), Problem.TOO_LARGE: (413, "invalid_request"),
    Problem.UNREADABLE: (400, "invalid_request"), Problem.UNKNOWN_RESOURCE: (404, "invalid_request"),
    Problem.UNAVAILABLE: (503, "temporarily_unavailable"),
}
"""Problem → (status, error word of RFC 6749 5.2 and RFC 9449 5)."""
Header = tuple[bytes, bytes]
Needed = Callable[[str, tuple[str, ...]], tuple[str, str] | None]


class Admission:
    """ASGI: lets a request through to a face with `scope["reader"]`, or answers 401, 403 or 429 in that face's own words."""

    def __init__(
        self, gate: Gate, inner: Any, pool: Executor, needed: Needed = needed, says: Callable[[Problem, str], bytes] | None = None,
        kind: bytes = b"",
    ) -> None:
        """`needed` tells what scope a request below the base needs; `says` makes the body, of this media type, of a refusal; None: FHIR's."""
        self._gate, self._inner, self._pool, self._needed, self._says, self._kind = gate, inner, pool, needed, says, kind

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        path = below(scope)
        if scope["method"] == "OPTIONS":
            return await self._options(scope, send, self._inner.methods(path))
        if conformance.open_to_all(path):
            await self._inner(scope, receive, send)
            return None
        raw = scope.get("raw_path") or scope["path"].encode()
        wanted = self._needed(scope["method"], path)
        call = Call.of(scope["method"], raw.partition(b"?")[0].decode("latin-1"), wanted, scope["headers"])
        try:
            if self._gate.quick(call):
                reader = self._gate.admit(call)
            else:
                reader = await asyncio.get_running_loop().run_in_executor(self._pool, self._gate.admit, call)
        except NotAdmitted as refused:
            return await self._refuse(send, scope, refused.problem, refused.detail, refused.headers)
        except Unavailable as later:
            wait: Header = (b"retry-after", str(int(later.retry_after or 5)).encode())
            return await self._refuse(send, scope, Problem.UNAVAILABLE, later.detail, (wait,))
        await self._inner({**scope, "reader": reader}, receive, send)

    async def _refuse(self, send: Any, scope: Any, problem: Problem, detail: str, headers: tuple[Header, ...] = ()) -> None:
        """In the face's words; FHIR's in the format that was asked for."""
        if self._says is None:
            kind, body = told(Asked(scope["method"], below(scope), scope["query_string"].decode("latin-1"), headers_of(scope)), problem, detail)
        else:
            kind, body = self._kind, self._says(problem, detail)
        await _send(send, scope, OUTCOME[problem][0], body, headers, kind)

    async def _options(self, scope: Any, send: Any, methods: tuple[str, ...]) -> None:
        """What may be done with an address, for anybody. No `Access-Control-*`: a web page in a browser calls no face of machines."""
        if not methods:
            return await self._refuse(send, scope, Problem.UNKNOWN_RESOURCE, "no such address")
        await respond(send, "OPTIONS", headers_of(scope), Answer(204, b"", (allow(methods),)))


class OAuth:
    """ASGI: `/oauth/token`, `/oauth/test/token`, `/oauth/jwks` and the well-known documents."""

    def __init__(self, issuing: Issuing, signing: Signing, base_url: str, pool: Executor) -> None:
        self._issuing, self._signing, self._base, self._pool = issuing, signing, base_url, pool
        self._get: dict[str, Callable[[], bytes]] = {
            "/oauth/jwks": signing.public,
            "/.well-known/oauth-authorization-server": lambda: orjson.dumps(metadata(base_url)),
            "/fhir/.well-known/smart-configuration": lambda: orjson.dumps(smart(base_url)),
        }
        self._post = {"/oauth/token": issuing.token, "/oauth/test/token": issuing.test_token}

    def serves(self, path: str) -> bool:
        return path in self._get or path in self._post

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        path, method = scope["path"], scope["method"]
        if path in self._get:
            if method not in ("GET", "HEAD"):
                return await _send(send, scope, 405, b"", ((b"allow", b"GET, HEAD"),))
            return await _send(send, scope, 200, self._get[path](), ((b"cache-control", b"public, max-age=300"),))
        if method != "POST":
            return await _send(send, scope, 405, b"", ((b"allow", b"POST"),))
        status, body, headers = await self._token(scope, receive, self._post[path])
        await _send(send, scope, status, orjson.dumps(body), (*headers, (b"cache-control", b"no-store"), (b"pragma", b"no-cache")))

    async def _token(self, scope: Any, receive: Any, give: Callable[[Request], dict[str, Any]]) -> tuple[int, Any, tuple[Header, ...]]:
        headers: tuple[Header, ...] = ()
        if self._issuing.nonce is not None:
            headers = ((b"dpop-nonce", self._issuing.nonce.fresh(self._issuing.now()).encode()),)
        try:
            form = await _form(scope, receive)
            proofs = tuple(v.decode("latin-1") for k, v in scope["headers"] if k.lower() == b"dpop")
            request = Request(form, proofs, f"{self._base}{scope['path']}")
            return 200, await asyncio.get_running_loop().run_in_executor(self._pool, give, request), headers
        except Refused as refused:
            status, word = ERRORS.get(refused.problem, (400, "invalid_request"))
            if status == 401:
                headers += ((b"www-authenticate", _challenge(scope)),)
            if refused.problem is Problem.TOO_MANY:
                headers += ((b"retry-after", b"60"),)
            return status, {"error": word, "error_description": f"{refused.problem.value} {refused.detail}"}, headers
        except Unavailable as later:
            return 503, {"error": "temporarily_unavailable", "error_description": later.detail}, (*headers, (b"retry-after", b"5"))


def metadata(base: str) -> dict[str, Any]:
    """RFC 8414."""
    return {
        "issuer": base, "token_endpoint": f"{base}/oauth/token", "jwks_uri": f"{base}/oauth/jwks",
        "grant_types_supported": ["client_credentials"], "response_types_supported": [],
        "token_endpoint_auth_methods_supported": ["private_key_jwt"],
        "token_endpoint_auth_signing_alg_values_supported": list(jose.ALGORITHMS),
        "dpop_signing_alg_values_supported": list(jose.ALGORITHMS), "scopes_supported": _SCOPES,
    }


def smart(base: str) -> dict[str, Any]:
    """SMART App Launch 2.0, the part for backend services. The PKCE methods are required of every server, also of one where nobody logs in."""
    capabilities = ["client-confidential-asymmetric", "permission-v1", "permission-v2"]
    return {**metadata(base), "code_challenge_methods_supported": ["S256"], "capabilities": capabilities}


_SCOPES = [
    "system/Appointment.cruds", "system/Slot.rs", "system/Schedule.rs", "system/Encounter.rs", "system/HealthcareService.rs",
    "system/Patient.rs", "system/Subscription.cruds", "system/*.rs",
]


def _challenge(scope: Any) -> bytes:
    """In the scheme by which the client tried to prove itself, where it did so in the head (RFC 6749 5.2); a 401 has a challenge always."""
    tried = next((v for k, v in scope["headers"] if k.lower() == b"authorization"), b"").split(b" ")[0]
    return (tried if tried.isalnum() and len(tried) <= 20 else b"Bearer") + b' realm="besoksbro"'


async def _form(scope: Any, receive: Any) -> dict[str, str]:
    """The fields of a form. Raises Refused TOO_LARGE, and UNREADABLE when it is none or a field comes twice (RFC 6749 3.2)."""
    kind = next((v for k, v in scope["headers"] if k.lower() == b"content-type"), b"")
    data = await read_body(receive, LARGEST_FORM)
    if data is None:
        raise Refused(Problem.TOO_LARGE, f"a form of more than {LARGEST_FORM} bytes")
    try:
        pairs = parse_qsl(data.decode("ascii"), keep_blank_values=True, max_num_fields=50)
    except ValueError as wrong:
        raise Refused(Problem.UNREADABLE, "not a form") from wrong
    if not kind.lower().startswith(b"application/x-www-form-urlencoded") or len(dict(pairs)) != len(pairs):
        raise Refused(Problem.UNREADABLE, "the body is application/x-www-form-urlencoded, each field once")
    return dict(pairs)


async def _send(
    send: Any, scope: Any, status: int, body: bytes, headers: tuple[Header, ...] = (), kind: bytes = b"application/json",
) -> None:
    asked = headers_of(scope)
    mirrored = [(name, asked[name][:200]) for name in MIRRORED if name in asked]
    every = [(b"content-type", kind), (b"content-length", str(len(body)).encode()), *headers, *mirrored]
    await send({"type": "http.response.start", "status": status, "headers": every})
    await send({"type": "http.response.body", "body": b"" if scope["method"] == "HEAD" else body})
