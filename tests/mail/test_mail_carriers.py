"""SMTP, IMAP and POP3 against real servers: what was handed over, what was not, and what stays in the mailbox."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from letters_by_mail import around, box, box_settings, everything, letter, secret, sender
from postoffice import DOMAIN, HOST, PASSWORD, SMTP_PASSWORD, Office, certificate
from test_letters_as_mail import BOUNCE, bodies

from adapters.carriers.imap import ImapSession
from adapters.carriers.mailbox import PORTS, Mailbox, mailbox
from adapters.carriers.mailserver import Server
from adapters.carriers.posting import KEPT, MESSAGES, Outbox
from adapters.carriers.smtp import smtp
from adapters.demo.processes import wait_for
from hub.config import Misconfigured
from hub.message import Parcel
from hub.problem import Problem, Refused, Unavailable

KINDS = pytest.mark.parametrize("kind", ["imap", "pop3"])
WAYS = pytest.mark.parametrize("tls", ["none", "starttls", "tls"])
SIGNAL = Parcel({"content-type": "text/xml; charset=UTF-8", "soapaction": '"ebXML"'}, "<SOAP>blåbær</SOAP>\n".encode())


@KINDS
@WAYS
@pytest.mark.spec("facts/ebxml", "2.1.mail")
def test_a_letter_comes_through_smtp_and_a_mailbox_with_its_bytes(office: Office, tmp_path: Path, kind: str, tls: str) -> None:
    user = office.user()
    post = sender(office, tmp_path, user, tls)
    safe = letter(b"<a/>")
    for parcel in (letter(), SIGNAL, safe):
        assert post.send(parcel) is None
    got = everything(box(office, tmp_path, user, kind, tls))
    assert bodies(got[0]) == bodies(letter()) and got[1:] == [SIGNAL, safe]
    assert got[0].headers == letter().headers
    assert office.lying(user) == [] == everything(box(office, tmp_path, user, kind, tls))


@KINDS
def test_a_large_letter_with_lines_of_any_length_comes_through(office: Office, tmp_path: Path, kind: str) -> None:
    user, large = office.user(), letter(b"<a>" + b"x" * 3_000_000 + b"</a>")
    sender(office, tmp_path, user).send(large)
    assert bodies(everything(box(office, tmp_path, user, kind))[0]) == bodies(large)
    office.put(user, b"Content-Type: text/xml\r\n\r\n" + b"y" * 500_000 + b"\r\n.\r\n..\r\n")
    assert everything(box(office, tmp_path, user, kind))[0].body == b"y" * 500_000 + b"\r\n.\r\n..\r\n"


@pytest.mark.spec("facts/ebxml", "7.3.mime-id")
def test_each_try_has_a_message_id_and_a_date_of_its_own_and_says_which_letter_it_is(office: Office, tmp_path: Path) -> None:
    user = office.user()
    named = letter(b"<eb:MessageData><eb:MessageId>abc-1@hub.example</eb:MessageId></eb:MessageData>")
    for _ in range(2):
        sender(office, tmp_path, user).send(named)
    sent = office.counter.wire[f"{user}@{DOMAIN}"]
    ids = [re.findall(rb"^Message-ID: (.+)\r$", mail, re.MULTILINE) for mail in sent]
    assert ids[0] != ids[1] and all(re.fullmatch(rb"<abc-1\.[0-9a-f]{32}@edi\.example>", found[0]) and len(found) == 1 for found in ids)
    assert all(b'\r\nSOAPAction: "ebXML"\r\n' in mail and b"\r\nDate: " in mail and b"\r\nMIME-Version: 1.0\r\n" in mail for mail in sent)
    assert {mail.partition(b"\r\n\r\n")[2] for mail in sent} == {sent[0].partition(b"\r\n\r\n")[2]}


@pytest.mark.parametrize("to, kind", [("gone", Refused), ("full", Unavailable)])
def test_what_the_server_says_of_the_recipient_ends_it_or_is_tried_again(office: Office, tmp_path: Path, to: str, kind: type[Exception]) -> None:
    with pytest.raises(kind) as told:
        sender(office, tmp_path, to).send(letter())
    assert DOMAIN not in str(told.value)


def test_a_refused_content_ends_it_and_nobody_there_is_later(office: Office, tmp_path: Path) -> None:
    with pytest.raises(Refused):
        sender(office, tmp_path, office.user(), subject="spam").send(letter())
    with pytest.raises(Refused) as large:
        sender(office, tmp_path, office.user(), max_bytes=100).send(letter())
    assert large.value.problem is Problem.TOO_LARGE
    with pytest.raises(Unavailable):
        sender(office, tmp_path, office.user(), port=1).send(letter())
    with pytest.raises(Unavailable):  # the server has no certificate that the machine trusts
        sender(office, tmp_path, office.user(), "starttls", ca_file=str(_other_ca(tmp_path))).send(letter())


def _other_ca(home: Path) -> Path:
    (home / "other").mkdir()
    certificate(home / "other")
    return home / "other" / "cert.pem"


def test_a_login_works_and_a_wrong_password_is_later_and_never_told(office: Office, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    user = office.user()
    sender(office, tmp_path, user, "starttls", user="hub", password_file=secret(tmp_path, "right", SMTP_PASSWORD)).send(letter())
    assert len(office.lying(user)) == 1
    wrong = secret(tmp_path, "wrong", "helt-feil-passord")
    with pytest.raises(Unavailable) as smtp_says:
        sender(office, tmp_path, user, "starttls", user="hub", password_file=wrong).send(letter())
    said = [str(smtp_says.value), repr(smtp_says.value.__cause__)]
    for kind in ("imap", "pop3"):
        with pytest.raises(Unavailable) as told:
            everything(box(office, tmp_path, user, kind, **{"password_file": wrong}))
        said += [str(told.value), repr(told.value.__cause__)]
    assert not any("helt-feil" in text or user in text for text in [*said, caplog.text])


@KINDS
def test_a_letter_that_was_not_stored_stays_and_does_not_hold_up_the_next(office: Office, tmp_path: Path, kind: str) -> None:
    user = office.user()
    for n in range(3):
        office.put(user, b"Content-Type: text/xml\r\n\r\n%d\r\n" % n)
    seen = []
    for parcel, done in box(office, tmp_path, user, kind).collect():
        seen.append(parcel.body)
        if parcel.body != b"1\r\n":
            done()
    assert seen == [b"0\r\n", b"1\r\n", b"2\r\n"]
    assert [p.body for p in everything(box(office, tmp_path, user, kind))] == [b"1\r\n"]


@KINDS
def test_what_fails_in_between_leaves_the_rest_where_it_lies(office: Office, tmp_path: Path, kind: str) -> None:
    user = office.user()
    for _ in range(2):
        sender(office, tmp_path, user).send(SIGNAL)
    for _, done in box(office, tmp_path, user, kind).collect():
        done()
        break  # the store does not answer: the visit ends here
    wait_for(lambda: len(office.lying(user)) == 1, "only what was stored is gone", 10)


@KINDS
def test_bounces_and_automatic_replies_come_as_what_they_are_between_the_letters(office: Office, tmp_path: Path, kind: str) -> None:
    user = office.user()
    office.put(user, BOUNCE.format(action="failed", status="5.1.1").encode())
    office.put(user, b"Auto-Submitted: auto-replied\r\nContent-Type: text/plain\r\n\r\nPaa ferie\r\n")
    office.put(user, b"\xff\xfe\x00 no mail at all")
    sender(office, tmp_path, user).send(SIGNAL)
    got = everything(box(office, tmp_path, user, kind))
    assert [p.trouble.problem if p.trouble else None for p in got] == [Problem.NOT_DELIVERED, Problem.UNREADABLE, None, None]
    assert got[3] == SIGNAL and office.lying(user) == []


@KINDS
def test_one_too_large_is_told_of_once_and_kept(office: Office, tmp_path: Path, kind: str) -> None:
    user = office.user()
    office.put(user, b"Content-Type: text/xml\r\n\r\n" + b"x" * 3000 + b"\r\n")
    sender(office, tmp_path, user).send(SIGNAL)
    small = box(office, tmp_path, user, kind, max_bytes=2000)
    told, taken = everything(small)
    assert told.trouble is not None and told.trouble.problem is Problem.TOO_LARGE and b"xxx" not in told.body and taken == SIGNAL
    assert everything(small) == []
    assert [len(mail) > 3000 for mail in office.lying(user, "Besoksbro-avvist" if kind == "imap" else "INBOX")] == [True]


def test_what_is_stored_moves_to_a_folder_where_the_settings_say_so(office: Office, tmp_path: Path) -> None:
    user = office.user()
    for n in range(2):
        sender(office, tmp_path, user).send(SIGNAL)
        assert len(everything(box(office, tmp_path, user, done="Lest post"))) == 1
        assert office.lying(user) == [] and len(office.lying(user, "Lest post")) == n + 1


@pytest.mark.parametrize("lacks", [{"MOVE"}, {"MOVE", "UIDPLUS"}])
@pytest.mark.parametrize("done", ["", "Lest"])
def test_a_server_that_cannot_move_or_expunge_one_letter_does_too(office: Office, tmp_path: Path, lacks: set[str], done: str, monkeypatch: Any) -> None:
    user = office.user()
    sender(office, tmp_path, user).send(SIGNAL)
    opened = ImapSession.waiting
    monkeypatch.setattr(ImapSession, "waiting", lambda self: (setattr(self, "_can", self._can - lacks), opened(self))[1])
    assert everything(box(office, tmp_path, user, done=done)) == [SIGNAL]
    assert office.lying(user) == [] and len(office.lying(user, "Lest")) == bool(done)


@KINDS
def test_adapters_share_a_mailbox_by_the_senders_each_listens_to(office: Office, tmp_path: Path, kind: str) -> None:
    user = office.user()
    sender(office, tmp_path, user).send(SIGNAL)
    office.put(user, BOUNCE.format(action="failed", status="5.1.1").encode())
    other = box(office, tmp_path, user, kind, senders=["somebody@else.example"])
    assert everything(other) == [] == everything(other)
    about_epj = everything(box(office, tmp_path, user, kind, senders=["epj@edi.example"]))
    assert [p.trouble.problem for p in about_epj if p.trouble] == [Problem.NOT_DELIVERED]
    assert everything(box(office, tmp_path, user, kind, senders=[f"Hub@{DOMAIN}"])) == [SIGNAL]


def test_a_visit_is_paid_as_often_as_agreed(office: Office, tmp_path: Path) -> None:
    user, now = office.user(), [100.0]
    seldom = Mailbox(box_settings(office, tmp_path, user, every="10s"), around(tmp_path), lambda: now[0])
    assert everything(seldom) == []
    sender(office, tmp_path, user).send(SIGNAL)
    now[0] = 109.0
    assert everything(seldom) == []
    now[0] = 110.0
    assert everything(seldom) == [SIGNAL]


def test_a_mailbox_alone_only_listens(office: Office, tmp_path: Path) -> None:
    user = office.user()
    settings = box_settings(office, tmp_path, user)
    carrier = mailbox(around(tmp_path, **{**settings, "protocol": settings.pop("kind")}))
    sender(office, tmp_path, user).send(SIGNAL)
    assert everything(carrier) == [SIGNAL]
    with pytest.raises(Refused):
        carrier.send(SIGNAL)
    carrier.close()


@pytest.mark.parametrize("wrong", [{"tls": "ssl"}, {"host": ""}, {"sender": "hub"}, {"to": ""}, {"user": "x", "password_file": "missing"}, {"port": "x"},
                                   {"mailbox": {"kind": "exchange"}}, {"mailbox": {"kind": "imap", "host": HOST, "tls": "none"}}, {"ca_file": "missing"},
                                   {"to": "", "agreement": "missing.xml"}])
def test_what_is_set_up_wrong_is_named_at_the_start(tmp_path: Path, wrong: dict[str, Any]) -> None:
    settings = {"host": HOST, "tls": "starttls", "sender": "a@b.example", "to": "mailto:c@d.example", **wrong}
    with pytest.raises(Misconfigured, match="partner.toml"):
        smtp(around(tmp_path, **settings))


def test_no_mailbox_nothing_is_collected(tmp_path: Path) -> None:
    carrier = smtp(around(tmp_path, host=HOST, tls="none", sender="a@b.example", to="mailto:c@d.example"))
    assert list(carrier.collect()) == []
    carrier.close()


def session(office: Office, home: Path, user: str) -> ImapSession:
    return ImapSession(Server.of(box_settings(office, home, user), home, "here", PORTS["imap"]), "INBOX", "", "Til side")


def test_two_visitors_at_once_neither_lose_a_letter_nor_stumble(office: Office, tmp_path: Path) -> None:
    """Two hub processes on one mailbox: both may take a letter, the store knows it is the same; letting go twice is once."""
    user = office.user()
    sender(office, tmp_path, user).send(SIGNAL)
    one, other = session(office, tmp_path, user), session(office, tmp_path, user)
    (key, _), = one.waiting()
    assert other.waiting() == one.waiting() and other.whole(key) == one.whole(key)
    one.let_go(key)
    other.let_go(key)
    assert one.whole(key) == b"" == other.head(key)
    one.close()
    other.close()
    assert office.lying(user) == []


def test_a_connection_that_breaks_keeps_the_letter(office: Office, tmp_path: Path) -> None:
    user = office.user()
    sender(office, tmp_path, user).send(SIGNAL)
    broken = session(office, tmp_path, user)
    (key, _), = broken.waiting()
    broken._imap.shutdown()
    with pytest.raises(Unavailable):
        broken.let_go(key)
    broken.close()
    assert len(office.lying(user)) == 1
    with pytest.raises(Unavailable):
        everything(box(office, tmp_path, user, folder="Finnes ikke"))
    for kind in ("imap", "pop3"):
        with pytest.raises(Unavailable):
            everything(box(office, tmp_path, user, kind, port=1))


def test_a_server_that_only_knows_login_is_entered_by_it(office: Office, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Dovecot takes LOGIN too. A password that LOGIN cannot say is told as such, never shown."""
    import imaplib

    asked: list[str] = []

    def login(self: imaplib.IMAP4, user: str, password: str) -> Any:
        asked.append(user)
        return self.authenticate("PLAIN", lambda _: f"\0{user}\0{password}".encode())

    told = imaplib.IMAP4._get_capabilities  # type: ignore[attr-defined]

    def without(self: imaplib.IMAP4) -> None:
        told(self)
        self.capabilities = tuple(c for c in self.capabilities if c != "AUTH=PLAIN")

    user = office.user()
    sender(office, tmp_path, user).send(SIGNAL)
    monkeypatch.setattr(imaplib.IMAP4, "_get_capabilities", without)
    with pytest.raises(Unavailable, match="user or password"):
        everything(box(office, tmp_path, user))
    monkeypatch.setattr(imaplib.IMAP4, "login", login)
    assert everything(box(office, tmp_path, user)) == [SIGNAL] and asked == [user] and user != PASSWORD


def test_a_password_with_a_line_break_is_no_command_of_its_own(office: Office, tmp_path: Path) -> None:
    settings = box_settings(office, tmp_path, office.user(), "pop3")
    (tmp_path / "box.txt").write_text("a\r\nDELE 1", encoding="utf-8")
    with pytest.raises(Misconfigured) as wrong:
        Mailbox(settings, around(tmp_path))
    assert "DELE" not in str(wrong.value)


def test_letters_go_over_one_connection_and_over_a_new_one_when_the_server_hung_up(office: Office, tmp_path: Path) -> None:
    user = office.user()
    post = sender(office, tmp_path, user, "starttls")
    for n in range(4):
        if n == 2:
            office.hang_up(f"{user}@{DOMAIN}")
        post.send(letter(b"<a>%d</a>" % n))
    ports = office.counter.ports[f"{user}@{DOMAIN}"]
    assert ports[0] == ports[1] != ports[2] == ports[3] and len(office.lying(user)) == 4
    post.close()


def test_a_refused_letter_does_not_spoil_the_next(office: Office, tmp_path: Path) -> None:
    user = office.user()
    outbox = Outbox(Server.of({"host": HOST, "port": office.smtp, "tls": "none"}, tmp_path, "here", PORTS["imap"]))
    good = b"Subject: ebXML\r\n\r\nx\r\n"
    outbox.hand_over(f"hub@{DOMAIN}", f"{user}@{DOMAIN}", good)
    for to, message in ((f"gone@{DOMAIN}", good), (f"{user}@{DOMAIN}", b"From: x\r\nSubject: spam\r\n\r\nx\r\n")):
        with pytest.raises(Refused):
            outbox.hand_over(f"hub@{DOMAIN}", to, message)
        outbox.hand_over(f"hub@{DOMAIN}", f"{user}@{DOMAIN}", good)
    assert len(office.lying(user)) == 3
    outbox.close()


def test_a_connection_is_given_up_after_some_messages_and_when_it_has_stood_idle(office: Office, tmp_path: Path) -> None:
    user, now = office.user(), [100.0]
    server = Server.of({"host": HOST, "port": office.smtp, "tls": "none"}, tmp_path, "here", PORTS["imap"])
    outbox = Outbox(server, lambda: now[0])
    for n in range(MESSAGES + 3):
        now[0] += KEPT + 1 if n == MESSAGES + 2 else 0
        outbox.hand_over(f"hub@{DOMAIN}", f"{user}@{DOMAIN}", b"Subject: ebXML\r\n\r\nx\r\n")
    ports = office.counter.ports[f"{user}@{DOMAIN}"]
    assert len(set(ports[:MESSAGES])) == 1 and ports[MESSAGES - 1] != ports[MESSAGES] == ports[MESSAGES + 1] != ports[MESSAGES + 2]
    outbox.close()
