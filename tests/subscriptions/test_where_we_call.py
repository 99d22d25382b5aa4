"""Where the hub may be made to call, and what a webhook's signature is: the guard by itself, the carrier on real sockets."""

from __future__ import annotations

import ipaddress
import socket
from pathlib import Path
from typing import Any

import pytest
from receivers import Receiver
from subscribers import SECRET, Feeding

from adapters.carriers import guarded
from adapters.carriers.http import HttpCarrier
from adapters.carriers.signing import signed
from hub.adapter import Surroundings
from hub.endpoint import Allowed
from hub.message import Parcel
from hub.problem import Problem, Refused, Unavailable

INSIDE = [
    "127.0.0.1", "127.8.9.10", "10.1.2.3", "172.16.0.1", "192.168.1.1", "169.254.169.254", "100.64.0.1", "0.0.0.0", "224.0.0.1", "255.255.255.255",
    "192.0.2.1", "::1", "::", "fe80::1", "fc00::1", "ff02::1", "::ffff:127.0.0.1", "::ffff:10.0.0.1", "64:ff9b::7f00:1", "::7f00:1", "::2", "2002:7f00:1::1", "192.0.0.8", "192.88.99.1",
]
OUTSIDE = ["1.1.1.1", "193.156.0.1", "2606:4700::1111", "::ffff:1.1.1.1"]


@pytest.mark.parametrize("text", INSIDE)
def test_no_address_of_ours_is_called(text: str) -> None:
    with pytest.raises(Refused) as refused:
        Allowed().reach("x.example", [ipaddress.ip_address(text)])
    assert refused.value.problem is Problem.BAD_SUBSCRIPTION
    with pytest.raises(Refused):
        Allowed().check(f"https://[{text}]/hook" if ":" in text else f"https://{text}/hook")


@pytest.mark.parametrize("text", OUTSIDE)
def test_the_open_internet_is(text: str) -> None:
    address = ipaddress.ip_address(text)
    assert Allowed().reach("x.example", [address]) == address
    with pytest.raises(Refused):
        Allowed().reach("x.example", [address, ipaddress.ip_address("10.0.0.1")])


@pytest.mark.parametrize("url", [
    "http://epj.example.no/hook", "ftp://epj.example.no", "https://", "https://user:word@epj.example.no/", "https://epj.example.no/#f", "hook",
    "https://localhost/x", "https://a.localhost/x", "https://epj.example.no:0/", "https://epj.example.no:99999/", "https://epj.example.no/a b",
    "https://epj.exæmple.no/", "https://epj.example.no/" + "x" * 3000, "javascript:alert(1)", "file:///etc/passwd",
])
def test_an_address_that_is_none_or_is_not_https_is_refused(url: str) -> None:
    with pytest.raises(Refused) as refused:
        Allowed().check(url)
    assert refused.value.problem is Problem.BAD_SUBSCRIPTION


def test_what_the_municipality_allows_is_reached_and_nothing_beside_it() -> None:
    allowed = Allowed.of(["10.1.0.0/16", "epj.kommunen.no", "::1"])
    allowed.check("http://10.1.2.3/hook")
    allowed.check("http://epj.kommunen.no/hook")
    allowed.check("https://[::1]/hook")
    allowed.reach("epj.kommunen.no", [ipaddress.ip_address("192.168.1.1")])
    for url in ("http://10.2.2.3/hook", "http://other.kommunen.no/hook", "https://[::2]/"):
        with pytest.raises(Refused):
            allowed.check(url)
    with pytest.raises(ValueError):
        Allowed.of(["10.1.0.0/99"])


def carrier(url: str, allowed: Allowed, **settings: Any) -> HttpCarrier:
    return HttpCarrier(Surroundings(Path(), "x", "x", "x", "x", {"url": url, "allowed": allowed, **settings}), lambda: 1_790_000_000.5)


def test_a_name_is_judged_by_the_address_it_has_when_it_is_called(receiver: Receiver, monkeypatch: pytest.MonkeyPatch) -> None:
    """The name was the open internet's when it was given, and is ours when it is used."""
    port = receiver.url.split(":")[2].split("/")[0]
    url = f"https://rebinding.example:{port}/hook"
    Allowed().check(url)
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: [(2, 1, 6, "", ("127.0.0.1", int(port)))])
    sent = carrier(url, Allowed())
    with pytest.raises(Refused) as refused:
        sent.send(Parcel({}, b"{}"))
    assert refused.value.problem is Problem.BAD_SUBSCRIPTION and not receiver.got
    sent.close()


def test_what_is_looked_up_is_what_is_called(receiver: Receiver, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is looked up a second time: whoever answers otherwise then has nothing to say."""
    port = receiver.url.split(":")[2].split("/")[0]
    looked: list[str] = []

    def look_up(host: str, _: int) -> list[Any]:
        looked.append(host)
        return [ipaddress.ip_address("127.0.0.1")]

    monkeypatch.setattr(guarded, "look_up", look_up)
    sent = carrier(f"http://epj.kommunen.no:{port}/hook", Allowed.of(["epj.kommunen.no"]))
    sent.send(Parcel({"x-message-id": "1"}, b"{}"))
    assert looked == ["epj.kommunen.no"] and receiver.got[0].headers["host"] == f"epj.kommunen.no:{port}"
    sent.close()


def test_each_try_is_signed_with_its_own_time(receiver: Receiver) -> None:
    sent = carrier(receiver.url, Allowed.of(["127.0.0.1"]), secret=SECRET)
    sent.send(Parcel({"x-message-id": "msg_1"}, b'{"a": 1}'))
    got = receiver.got[0]
    assert (got.headers["webhook-id"], got.headers["webhook-timestamp"]) == ("msg_1", "1790000000") and got.signed_by(SECRET)
    sent.close()


def test_the_signature_is_the_one_of_standard_webhooks() -> None:
    """The example of the specification's own libraries."""
    made = signed("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330, b'{"test": 2432232314}')
    assert made["webhook-signature"] == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


def test_redirects_and_endless_answers_are_not_followed(receiver: Receiver) -> None:
    receiver.answers = 302
    sent = carrier(receiver.url, Allowed.of(["127.0.0.1"]))
    with pytest.raises(Unavailable):
        sent.send(Parcel({}, b""))
    sent.close()


def test_a_subscription_to_our_inside_is_refused(one: Feeding) -> None:
    for url in ("https://10.0.0.1/hook", "http://169.254.169.254/latest", "https://192.168.0.1/", "http://example.org/hook", "https://[::1]/"):
        answer = one.api.post("/Subscription", json=one.subscription(url))
        assert answer.status_code == 422 and answer.json()["issue"][0]["details"]["coding"][0]["code"] == "BB-428", url
        assert answer.json()["issue"][0]["expression"] == ["Subscription.channel.endpoint"]
