"""The two formats of the FHIR API: which one is wanted, bodies that come in either, answers that leave in either."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from urllib.parse import parse_qsl, urlencode

from hub.faces.interaction import JSON, Answer, Asked
from hub.fhir import definitions as known
from hub.fhir import strict_json, xml
from hub.fhir.definitions import Definitions
from hub.fhir.outcome import outcome
from hub.problem import Problem, Refused

XML = "application/fhir+xml"
FORMATS = {
    JSON: JSON, "application/json": JSON, "text/json": JSON, "json": JSON, "application/json+fhir": JSON,
    XML: XML, "application/xml": XML, "text/xml": XML, "xml": XML, "application/xml+fhir": XML,
}
"""What a format may be called (R4 http.html#mime-type; `+fhir` is DSTU2's, which old clients still send) → what it is."""
ANSWERS = {**FORMATS, "*/*": JSON, "application/*": JSON}
"""What may be asked for → what is given."""
PATCHES = ("application/json-patch+json", "application/merge-patch+json")
FORM = "application/x-www-form-urlencoded"
RELEASES = ("", "4.0", "4.0.1")
"""What the parameter `fhirVersion` of a media type may be."""


def acceptable(asked: Asked) -> str:
    """JSON or XML: by `_format`, else by Accept and its weights (RFC 9110 12.5.1). Raises Refused NOT_ACCEPTABLE."""
    wanted = next((v for n, v in asked.pairs if n == "_format" and v), "") if "format" in asked.query or "%" in asked.query else ""
    wanted = wanted.replace(" ", "+") or asked.header(b"accept").strip() or "*/*"
    given = ANSWERS.get(wanted) or max(_weighed(wanted), key=lambda each: each[0], default=(0.0, ""))[1]
    if not given:
        raise Refused(Problem.NOT_ACCEPTABLE, f"answers are {JSON} or {XML}, of FHIR 4.0")
    return given


def with_format(asked: Asked) -> Asked:
    """A search form may name the format as an address does (R4 http.html#parameters)."""
    if asked.path[-1:] != ("_search",) or b"_format=" not in asked.body:
        return asked
    return replace(asked, query=urlencode([pair for pair in form(asked) if pair[0] == "_format"] + asked.pairs))


def form(asked: Asked) -> list[tuple[str, str]]:
    """The parameters in the body. Raises Refused WRONG_MEDIA_TYPE."""
    if asked.body and kind_of(asked) != FORM:
        raise Refused(Problem.WRONG_MEDIA_TYPE, f"a search form is {FORM}")
    return parse_qsl(asked.body.decode("utf-8", "replace"), keep_blank_values=True)


def _weighed(wanted: str) -> Iterator[tuple[float, str]]:
    """(weight, format) of each that we have; of equal weights the first is the greatest. A star is not what is refused by its name."""
    told = [media_type(one) for one in wanted.split(",")]
    refused = {FORMATS[kind] for kind, parameters in told if kind in FORMATS and _weight(parameters) == 0}
    for place, (kind, parameters) in enumerate(told):
        weight = _weight(parameters)
        if kind in ANSWERS and 0 < weight <= 1 and parameters.get("fhirversion", "") in RELEASES:
            given = (ANSWERS[kind],) if kind in FORMATS else (JSON, XML)
            yield from ((weight - place * 1e-6, each) for each in given if each not in refused)


def _weight(parameters: dict[str, str]) -> float:
    """What is no number weighs nothing."""
    try:
        return float(parameters.get("q", "1"))
    except ValueError:
        return 0


def media_type(text: str) -> tuple[str, dict[str, str]]:
    """A media type, and its parameters by their names in small letters."""
    kind, *rest = text.split(";")
    pairs = (part.partition("=") for part in rest)
    return kind.strip().lower(), {name.strip().lower(): value.strip().strip('"') for name, _, value in pairs}


def kind_of(asked: Asked) -> str:
    """The media type of the body; empty: it does not say. Raises Refused WRONG_MEDIA_TYPE for a text that we do not read."""
    kind, parameters = media_type(asked.header(b"content-type"))
    if parameters.get("charset", "utf-8").lower() not in ("utf-8", "utf8", "us-ascii"):
        raise Refused(Problem.WRONG_MEDIA_TYPE, "a body is UTF-8")
    if parameters.get("fhirversion", "") not in RELEASES:
        raise Refused(Problem.WRONG_MEDIA_TYPE, "this is FHIR 4.0")
    return kind


def in_json(asked: Asked, definitions: Definitions) -> Asked:
    """With its body as JSON, whichever of the formats it came in. Raises Refused WRONG_MEDIA_TYPE, UNREADABLE."""
    if asked.method == "DELETE":
        return asked
    sent = kind_of(asked)
    if asked.method == "PATCH" and sent in PATCHES:
        return asked
    kind = FORMATS.get(sent) if "/" in sent else None
    if kind is None:
        raise Refused(Problem.WRONG_MEDIA_TYPE, f"a body is {JSON} or {XML}; a patch {', '.join(PATCHES)} or Parameters")
    if kind == JSON:
        return replace(asked, headers={**asked.headers, b"content-type": (sent if asked.method == "PATCH" else JSON).encode()})
    body = strict_json.dump(xml.from_xml(asked.body, definitions))
    return replace(asked, body=body, headers={**asked.headers, b"content-type": JSON.encode()})


def worded(answer: Answer, format_: str, definitions: Definitions, asked: Asked | None = None) -> Answer:
    """As it leaves in this format, in lines where `_pretty` says so; what has a media type of its own is no resource, and stays as it is."""
    pretty = asked is not None and "_pretty" in asked.query and ("_pretty", "true") in asked.pairs
    if not answer.body or answer.media_type or (format_ != XML and not pretty):
        return answer
    resource = strict_json.load(answer.body)
    return replace(answer, body=xml.to_xml(resource, definitions, pretty) if format_ == XML else strict_json.dump(resource, pretty))


def said_in(asked: Asked) -> str:
    """The format in which somebody is told that something is wrong: the one they ask for; JSON for who asks for what we do not have."""
    try:
        return acceptable(asked)
    except Refused:
        return JSON


def told(asked: Asked, problem: Problem, detail: str) -> tuple[bytes, bytes]:
    """(media type, body) of an OperationOutcome for who is not let in; JSON for who asks for what we do not have."""
    format_ = said_in(asked)
    return f"{format_}; fhirVersion=4.0; charset=utf-8".encode(), worded(Answer(0, outcome(problem, detail)), format_, known.load()).body
