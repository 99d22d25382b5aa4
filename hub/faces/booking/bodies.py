"""What a shop may send, one model per body. Field names are the API's own; what is not named here is refused, so that no slip is silent."""

from __future__ import annotations

from codecs import BOM_UTF8
from datetime import date, time
from typing import Annotated, TypeVar

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from hub.booking.conventions import FNR
from hub.fhir import strict_json
from hub.problem import Problem, Refused

Word = Annotated[str, Field(min_length=1, max_length=64)]
Minutes = Annotated[int, Field(gt=0, le=1440)]
Day = Annotated[date, Field(ge=date(1970, 1, 1), le=date(2199, 12, 31))]
B = TypeVar("B", bound="Body")


def _week(text: str) -> str:
    """An ISO week that its year has. Raises ValueError."""
    date.fromisocalendar(int(text[:4]), int(text[6:]), 1)
    return text


class Body(BaseModel):
    """What every body has in common."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, populate_by_name=False)


class Identifier(Body):
    """Somebody, by a number: a national id in most cases. It stands in bodies only, never in an address."""

    system: Annotated[str, Field(min_length=1, max_length=200)] = FNR
    value: Word


class About(Body):
    """About a person; `relative` when somebody else does it for them, by a mandate that the hub knows."""

    person: Identifier
    relative: Identifier | None = None


class Times(About):
    """Which times are free."""

    department: Word
    minutes: Minutes | None = None
    moves: Annotated[str, Field(max_length=64)] = ""
    first: Day | None = Field(None, alias="from")
    last: Day | None = Field(None, alias="to")


class Wanted(About):
    """A time that is held or booked."""

    request: Word
    department: Word
    start: Word
    minutes: Minutes | None = None


class Hold(Wanted):
    """A time that is held; `moves` is the booking that shall have it."""

    moves: Annotated[str, Field(max_length=64)] = ""


class Book(Wanted):
    """A time that is booked; with `held` only if this shop still holds it for the person."""

    comment: Annotated[str, Field(max_length=500)] = ""
    held: bool = False


class Move(About):
    """Another time for a booking."""

    start: Word
    minutes: Minutes | None = None
    held: bool = False


class Cancel(About):
    """A booking is cancelled."""

    reason: Annotated[str, Field(max_length=200)] = ""


class Between(About):
    """A person's bookings on these days, both included."""

    first: Day | None = Field(None, alias="from")
    last: Day | None = Field(None, alias="to")


class Series(Wanted):
    """The same time every week. `skip` are ISO weeks (`2026-W52`); `last` is the last day."""

    skip: Annotated[list[Annotated[str, Field(pattern=r"^\d{4}-W\d{2}$"), AfterValidator(_week)]], Field(max_length=60)] = []
    last: Day | None = None


class Wait(About):
    """Waits for a time from `from` to `to` on one of these days; `to` 00:00 is midnight."""

    request: Word
    department: Word
    days: Annotated[list[Day], Field(min_length=1, max_length=31)]
    opens: time = Field(alias="from")
    closes: time = Field(alias="to")


def read(model: type[B], sent: bytes) -> B:
    """A body.

    Raises:
        Refused: UNREADABLE (no JSON object, a key twice), INVALID with a JSON pointer; no value that was sent is repeated.
    """
    strict_json.load(sent)  # an object, each key once
    try:
        return model.model_validate_json(sent.removeprefix(BOM_UTF8))
    except ValidationError as wrong:
        first = wrong.errors(include_url=False, include_context=False, include_input=False)[0]
        where = "/" + "/".join(str(part) for part in first["loc"] if isinstance(part, int) or _known(model, part))
        raise Refused(Problem.INVALID, f"{first['type'].replace('_', ' ')}: {first['msg']}", where) from wrong


def _known(model: type[BaseModel], name: str) -> bool:
    """A field of ours: an unknown one is the sender's text, and is not repeated."""
    names = {field.alias or key for key, field in model.model_fields.items()} | set(Identifier.model_fields)
    return name in names
