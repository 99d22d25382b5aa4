"""Files that go with a message, in forms and in threads: what may be chosen is told beforehand, what is wrong is told beside the field, and
what came is listed by name, kind and size. Portal and console alike.
"""

from __future__ import annotations

from dataclasses import dataclass

from hub.access import AuditLine
from hub.booking.attachments import KINDS, File, Limits, kind_of
from hub.booking.messages import Post, Thread
from hub.dialogue import file_of
from hub.faces import unsent
from hub.faces.context import Context
from hub.faces.web import Asked, Download
from hub.problem import Problem, Refused

FIELD = "vedlegg"
WRONG = (Problem.ATTACHMENT_KIND, Problem.ATTACHMENTS_TOO_LARGE)
"""What is told beside the field of files."""
ACCEPT = ",".join(part for kind in KINDS for part in (kind.media_type, *kind.suffixes))


@dataclass(frozen=True, slots=True)
class Listed:
    """A file of a message, ready to print."""

    id: str
    name: str
    what: str
    """`PDF, 320 kB`."""


@dataclass(frozen=True, slots=True)
class Choice:
    """The field of a form, ready to print."""

    hint: str
    accept: str
    sorry: str = ""
    again: bool = False
    """Files that were chosen are not in the form any more."""


def size(bytes_: int) -> str:
    """`320 kB`, `1,2 MB`: in thousands, and never less than one."""
    thousands = max(1, round(bytes_ / 1000))
    return f"{thousands} kB" if thousands < 1000 else f"{bytes_ / 1_000_000:.1f} MB".replace(".", ",").replace(",0 ", " ")


def listed(message: Post) -> tuple[Listed, ...]:
    return tuple(Listed(file.id, file.title, f"{file.word}, {size(file.size)}") for file in message.files)


def allowed(limits: Limits) -> str:
    """What is told beforehand."""
    many = "én fil" if limits.files == 1 else f"{limits.files} filer"
    return f"PDF, JPEG eller PNG. Høyst {many}, {size(limits.size)} til sammen."


def chosen(asked: Asked) -> tuple[File, ...]:
    """The files that came with the form. Raises Refused ATTACHMENTS_TOO_LARGE: also where some were chosen that are not here any more."""
    if asked.too_large or unsent.FILES in asked.form:
        raise Refused(Problem.ATTACHMENTS_TOO_LARGE, "files were chosen, and are not here", FIELD)
    return asked.files


def choice(asked: Asked, limits: Limits, refused: Refused | None = None) -> Choice | None:
    """The field, with what is wrong; None: no files are taken."""
    if not limits.files:
        return None
    sorry = _sorry(asked, limits) if refused is not None and refused.problem in WRONG else ""
    return Choice(allowed(limits), ACCEPT, sorry, bool(asked.files) and refused is not None and not sorry)


def _sorry(asked: Asked, limits: Limits) -> str:
    """One sentence of what is wrong and what to do; names of files are shown to whoever chose them alone."""
    if unsent.FILES in asked.form:
        return "Filene du la ved, er ikke tatt vare på. Velg dem på nytt, eller send meldingen uten."
    wrong = next((file for file in asked.files if kind_of(file.body) is None), None)
    if asked.too_large or wrong is None:
        return f"Det er for mange filer, eller de er for store. {allowed(limits)} Velg filene på nytt."
    why = "er ikke en PDF, JPEG eller PNG" if wrong.body else "er tom"
    return f"Filen «{wrong.name[:80]}» {why}. Velg filene på nytt."


def download(context: Context, thread: Thread, id_: str, audit: AuditLine) -> Download | None:
    """A file of a message in this thread; None: it has no such file."""
    message, found = next(((post, file) for post in thread.messages for file in post.files if file.id == id_), (None, None))
    body = file_of(context.store, message.id, id_) if message is not None else None
    return Download(body, found.media_type, found.title, (audit,)) if found is not None and body is not None else None
