"""HTTP(S) POST over kept connections. What comes in by HTTP arrives at the inbox (hub/faces/inbox.py)."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import httpx

from hub.adapter import Surroundings
from hub.config import duration
from hub.message import Parcel
from hub.problem import Problem, Refused, Unavailable

LARGEST_ANSWER = 1_000_000
_LATER = {408, 425, 429}
_KEPT = ("content-type", "soapaction", "x-message-id")


class HttpCarrier:
    """hub.adapter.Carrier. Settings: `url`, `wait` (for the answer; `30s`), `token` (a bearer token, by file: `token_file`)."""

    def __init__(self, surroundings: Surroundings) -> None:
        settings = surroundings.settings
        self._url = str(settings["url"])
        wait = duration(str(settings.get("wait", "30s"))).total_seconds()
        headers = {"user-agent": "besoksbro"}
        if "token_file" in settings:
            headers["authorization"] = f"Bearer {(surroundings.home / str(settings['token_file'])).read_text().strip()}"
        self._client = httpx.Client(
            headers=headers, timeout=httpx.Timeout(wait, connect=5), follow_redirects=False, trust_env=False,
            limits=httpx.Limits(max_connections=16, max_keepalive_connections=16, keepalive_expiry=30),
        )

    def send(self, parcel: Parcel) -> Parcel | None:
        """Posts. 2xx: handed over; 4xx: it will never be taken like this; anything else: nobody knows, try again."""
        try:
            answer = self._client.post(self._url, content=parcel.body, headers=dict(parcel.headers))
        except httpx.HTTPError as trouble:
            raise Unavailable(f"{type(trouble).__name__} from the partner's address") from trouble
        if len(answer.content) > LARGEST_ANSWER:
            raise Unavailable("an answer larger than any receipt")
        if answer.is_success:
            headers = {name: answer.headers[name] for name in _KEPT if name in answer.headers}
            return Parcel(headers, answer.content, answer.status_code) if answer.content else None
        if 400 <= answer.status_code < 500 and answer.status_code not in _LATER:
            raise Refused(Problem.NOT_DELIVERED, f"HTTP {answer.status_code} from the partner")
        after = answer.headers.get("retry-after", "")
        raise Unavailable(f"HTTP {answer.status_code} from the partner", float(after) if after.isdigit() else None)

    def collect(self) -> Iterable[tuple[Parcel, Callable[[], None]]]:
        return ()

    def close(self) -> None:
        self._client.close()


def http(surroundings: Surroundings) -> HttpCarrier:
    """The entry point `http`."""
    return HttpCarrier(surroundings)
