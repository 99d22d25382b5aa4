"""«Meldinger»: what the person, or a relative with the mandate to, and the service write to each other. Plain links and forms."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime

from hub.access import Information, Scope
from hub.booking import Department
from hub.booking.messages import LONGEST, Thread
from hub.booking.views import stated_department
from hub.dialogue import Draft
from hub.faces import enclosing, words
from hub.faces.context import Context
from hub.faces.portal import choosing, threads, visits
from hub.faces.portal.page import missing, shown
from hub.faces.portal.viewer import Viewer, name_of
from hub.faces.web import ID, Answer, Asked, Page, Redirect
from hub.problem import Problem, Refused

DRAFTED = ("tekst", "emne", "besok", "gjelder")
"""The fields of a form that are kept when it is saved for later."""
TOLD = {"lagret-uten-filer": "Utkastet er lagret. Det er ikke sendt. Filene er ikke lagret: velg dem på nytt når du skriver ferdig.",
        "lagret": "Utkastet er lagret. Det er ikke sendt.", "forkastet": "Utkastet er slettet."}
Messages = Callable[[Context, Asked, Viewer], Answer]


def readers(handler: Messages) -> Messages:
    """Only for whoever may read the person's messages; for others it does not exist."""
    return lambda context, asked, seen: handler(context, asked, seen) if seen.shows(Information.MESSAGES, asked.now) else missing(asked, seen)


def writers(handler: Messages) -> Messages:
    """Only for whoever may write as well."""
    return readers(lambda context, asked, seen: handler(context, asked, seen) if may_write(seen, asked.now) else missing(asked, seen))


def may_write(seen: Viewer, now: datetime) -> bool:
    return seen.may(Scope.WRITE_MESSAGES, now)


def open_departments(context: Context, seen: Viewer, now: datetime) -> list[Department]:
    """Those that this viewer can write to: they serve the person, and take messages."""
    if not (seen.shows(Information.MESSAGES, now) and may_write(seen, now)):
        return []
    served = [service.department for service in context.shop.services(seen.person.reference, now)]
    return [department for department in served if context.messaging.open_to(department, seen.person.protection)]


def news(context: Context, seen: Viewer, now: datetime) -> int:
    """How many threads have something that is new to this viewer: what the front page tells of."""
    if not seen.shows(Information.MESSAGES, now):
        return 0
    return sum(bool(thread.unread(seen.reader.reference)) for thread in context.messaging.of(seen.person.reference))


def about(context: Context, seen: Viewer, visit: str, now: datetime) -> bool:
    """One can write about this visit here."""
    return _visited(context, seen, visit) in [department.code for department in open_departments(context, seen, now)]


def messages(context: Context, asked: Asked, seen: Viewer) -> Answer:
    """GET /meldinger: the threads, the newest first."""
    found, reader, person = context.messaging.of(seen.person.reference), seen.reader.reference, seen.person.reference
    begun = context.store.drafts(lambda drafts: {place for place in ("", *(one.id for one in found)) if drafts.get(reader, person, place)})
    lines = [threads.line(context, seen, one, asked.now, begun=one.id in begun) for one in found]
    return Page("portal/messages.html", shown(
        asked, seen, "messages", lines=lines, begun="" in begun, told=next((said for word, said in TOLD.items() if word in asked.query), ""),
        can_write=bool(open_departments(context, seen, asked.now)), may_write=may_write(seen, asked.now),
    ), audit=(seen.line("messages", asked.now),))


def ask(context: Context, asked: Asked, seen: Viewer) -> Answer:
    """GET /meldinger/ny: to which department, about what; `besok` names a visit."""
    return _form(context, asked, seen, asked.query.get("besok") or _begun(context, asked, seen).get("besok", ""))


def send(context: Context, asked: Asked, seen: Viewer) -> Answer:
    """POST /meldinger/ny: the receipt is the thread."""
    if (saved := _saved(context, asked, seen)) is not None:
        return saved
    visit = asked.form.get("besok", "")
    try:
        department, topic = _chosen(context, asked, seen, visit)
        thread = _write(context, asked, seen, department=department, topic=topic, visit=visit if asked.form.get("gjelder") else "")
    except Refused as refused:
        return _form(context, asked, seen, visit, refused)
    return Redirect(f"/meldinger/{thread}?sendt=1")


def thread(context: Context, asked: Asked, seen: Viewer) -> Answer:
    """GET /meldinger/<id>: one thread; somebody else's is answered as one that does not exist."""
    return _thread(context, asked, seen)


def attachment(context: Context, asked: Asked, seen: Viewer) -> Answer:
    """GET /meldinger/<id>/vedlegg/<file>: for whoever may read the thread. Another's is answered as one that does not exist."""
    found = _own(context, asked, seen)
    file = enclosing.download(context, found, asked.params["file"], seen.line("message-file", asked.now)) if found else None
    return file or missing(asked, seen)


def reply(context: Context, asked: Asked, seen: Viewer) -> Answer:
    """POST /meldinger/<id>."""
    if _own(context, asked, seen) is None:
        return missing(asked, seen)
    if (saved := _saved(context, asked, seen, asked.params["id"])) is not None:
        return saved
    try:
        return Redirect(f"/meldinger/{_write(context, asked, seen, thread=asked.params['id'])}?sendt=1#siste")
    except Refused as refused:
        return _thread(context, asked, seen, refused)


def _saved(context: Context, asked: Asked, seen: Viewer, thread: str = "") -> Redirect | None:
    """What the form's other buttons do: keep what is written for later, or throw it away. None: it is to be sent."""
    wish, fields = asked.form.get("gjor"), {name: asked.form[name] for name in DRAFTED if asked.form.get(name, "").strip()}
    if wish not in ("lagre", "forkast"):
        return None
    kept = wish == "lagre" and "tekst" in fields
    context.messaging.save(seen.reader, seen.person.reference, thread, {**fields, "lagret": asked.now.isoformat()} if kept else {})
    word = "forkastet" if not kept else "lagret-uten-filer" if asked.files or asked.too_large else "lagret"
    return Redirect(f"/meldinger?{word}=1")


def _begun(context: Context, asked: Asked, seen: Viewer, thread: str = "") -> dict[str, str]:
    """What is shown in the form: what was sent with it, else what was saved."""
    return dict(asked.form) or context.messaging.begun(seen.reader, seen.person.reference, thread)


def _write(context: Context, asked: Asked, seen: Viewer, *, thread: str = "", department: str = "", topic: str = "", visit: str = "") -> str:
    key, text = asked.form.get("nokkel", "")[:40], asked.form.get("tekst", "")
    draft = Draft(key, text, thread, department, topic, visit, enclosing.chosen(asked))
    return context.messaging.write(seen.reader, seen.person.reference, draft, "" if seen.own else _reader_name(context, seen))


def _thread(context: Context, asked: Asked, seen: Viewer, refused: Refused | None = None) -> Answer:
    found = _own(context, asked, seen)
    if found is None:
        return missing(asked, seen)
    department = _department(context, found.department)
    can_reply = may_write(seen, asked.now) and department is not None and context.messaging.open_to(department, seen.person.protection)
    page = Page("portal/thread.html", shown(
        asked, seen, "messages", thread=found, said=[threads.said(context, seen, m, asked.now) for m in found.messages],
        what=threads.what_of(context, seen, found.department, asked.now), can_reply=can_reply, may_write=may_write(seen, asked.now),
        answer=threads.answer_said(department.message_days) if department else "", sent="sendt" in asked.query and refused is None,
        key=asked.form.get("nokkel") or context.token(9), **_kept(context, asked, _begun(context, asked, seen, found.id), refused),
    ), 409 if refused else 200, audit=(seen.line("message", asked.now),))
    context.messaging.read(found, seen.reader.reference)
    return page


def _form(context: Context, asked: Asked, seen: Viewer, visit: str, refused: Refused | None = None) -> Answer:
    departments, code = open_departments(context, seen, asked.now), _visited(context, seen, visit)
    card = visits.one(context.store, seen, visit, asked.now) if code else None
    departments = [d for d in departments if d.code == code] if card is not None else departments
    if not departments:
        return missing(asked, seen)
    begun = _begun(context, asked, seen)
    chosen = begun.get("emne", "")
    groups = [threads.group(context, seen, department, chosen, asked.now) for department in departments]
    return Page("portal/message.html", shown(
        asked, seen, "messages", groups=groups, card=card,
        about_it="tekst" not in begun or "besok" in asked.query or bool(begun.get("gjelder")),
        key=asked.form.get("nokkel") or context.token(9), **_kept(context, asked, begun, refused),
    ), 409 if refused else 200)


def _kept(context: Context, asked: Asked, begun: Mapping[str, str], refused: Refused | None) -> dict[str, object]:
    """What was written stays in the form, with what is wrong and in which field, or since when it is kept."""
    text, saved = begun.get("tekst", ""), begun.get("lagret", "")
    files = enclosing.choice(asked, context.messaging.limits, refused)
    wrong = "emne" if refused and refused.problem is Problem.INVALID else enclosing.FIELD if files and files.sorry else "tekst"
    return {
        "text": text, "sorry": files.sorry if files and files.sorry else _sorry(refused, text), "longest": LONGEST, "files": files, "wrong": wrong,
        "saved": words.when(datetime.fromisoformat(saved), asked.now) if saved else "",
    }


def _sorry(refused: Refused | None, text: str) -> str:
    if refused is None:
        return ""
    if refused.problem is Problem.INVALID:
        return "Velg hva meldingen gjelder."
    if refused.problem is not Problem.MESSAGE_LENGTH:
        return refused.problem.text
    length = len(text.replace("\r\n", "\n").strip())
    return f"Meldingen er på {length} tegn. Den kan være på høyst {LONGEST}. Kort den ned, eller del den." if length else "Skriv en melding først."


def _chosen(context: Context, asked: Asked, seen: Viewer, visit: str) -> tuple[str, str]:
    """The department and the topic that the form names. Raises Refused INVALID."""
    key, _, topic = asked.form.get("emne", "").partition(":")
    code = _visited(context, seen, visit)
    for department in open_departments(context, seen, asked.now):
        if choosing.service_key(department.code) == key and topic in department.topics and code in ("", department.code):
            return department.code, topic
    raise Refused(Problem.INVALID, "no such topic", "emne")


def _visited(context: Context, seen: Viewer, visit: str) -> str:
    """The department of a visit of this person's; empty for anything else."""
    stored = visits.kept(context.store, visit) if visit else None
    mine = stored is not None and seen.person.reference in visits.persons(stored.resource)
    return stated_department(stored.resource) if stored is not None and mine else ""


def _own(context: Context, asked: Asked, seen: Viewer) -> Thread | None:
    id_ = asked.params["id"]
    return next((t for t in context.messaging.of(seen.person.reference) if t.id == id_), None) if ID.fullmatch(id_) else None


def _reader_name(context: Context, seen: Viewer) -> str:
    kind, _, id_ = seen.reader.reference.partition("/")
    stored = context.store.get(kind, id_)
    return "" if stored is None else name_of(stored.resource)


def _department(context: Context, code: str) -> Department | None:
    stored = context.store.get("HealthcareService", code)
    return None if stored is None or stored.deleted else Department.of(stored.resource)
