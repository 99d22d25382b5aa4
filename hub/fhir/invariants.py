"""R4's invariants of the served types, by hand: a few µs each, where a FHIRPath engine takes a hundred times that (facts/fhir.md 1.8)."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any

from lxml import etree

from hub.fhir import datatype_rules, times

_LITERAL = re.compile(r"#\S*|[A-Za-z][A-Za-z0-9+.-]*:\S+|[A-Z][A-Za-z]+/[A-Za-z0-9.-]{1,64}(/_history/[A-Za-z0-9.-]{1,64})?", re.ASCII)
_RELATIVE = re.compile(r"([A-Z][A-Za-z]+)/")
Node = dict[str, Any]
Found = Iterator[tuple[str, str]]
_XHTML = "{http://www.w3.org/1999/xhtml}"
_ELEMENTS = frozenset({
    "a", "abbr", "acronym", "b", "big", "blockquote", "br", "caption", "cite", "code", "col", "colgroup", "dd", "dfn", "div", "dl", "dt", "em",
    "h1", "h2", "h3", "h4", "h5", "h6", "hr", "i", "img", "li", "ol", "p", "pre", "q", "samp", "small", "span", "strong", "sub", "sup", "table",
    "tbody", "td", "tfoot", "th", "thead", "tr", "tt", "ul", "var",
})
_ATTRIBUTES = frozenset({
    "abbr", "accesskey", "align", "alt", "axis", "bgcolor", "border", "cellhalign", "cellpadding", "cellspacing", "cellvalign", "char",
    "charoff", "charset", "cite", "class", "colspan", "compact", "coords", "dir", "frame", "headers", "height", "href", "hreflang", "hspace",
    "id", "lang", "longdesc", "name", "nowrap", "rel", "rev", "rowspan", "rules", "scope", "shape", "span", "src", "start", "style", "summary",
    "tabindex", "title", "type", "valign", "value", "vspace", "width",
})
"""What txt-1 lets in."""


def _appointment(a: Node) -> Iterator[str]:
    status = a.get("status")
    if ("start" in a) != ("end" in a):
        yield "app-2: start and end stand together or not at all"
    if "start" not in a and status not in ("proposed", "cancelled", "waitlist"):
        yield "app-3: only a proposed, cancelled or waitlisted appointment can be without start and end"
    if "cancelationReason" in a and status not in ("cancelled", "noshow"):
        yield "app-4: a cancelationReason belongs to cancelled or noshow"
    if _backwards(a):
        yield "bb-1: an appointment ends after it starts"


def _participant(p: Node) -> Iterator[str]:
    if "type" not in p and "actor" not in p:
        yield "app-1: a participant has a type or an actor"


def _response(r: Node) -> Iterator[str]:
    if "participantType" not in r and "actor" not in r:
        yield "apr-1: a participantType or an actor"


def _period(p: Node) -> Iterator[str]:
    if _backwards(p):
        yield "per-1: a period starts before it ends"


def _slot(s: Node) -> Iterator[str]:
    if _backwards(s):
        yield "bb-1: a slot ends after it starts"


def _extension(e: Node) -> Iterator[str]:
    values = [key for key in e if key.lstrip("_").startswith("value")]
    if bool(values) == ("extension" in e):
        yield "ext-1: an extension has a value or extensions, not both and not neither"


def _contact(c: Node) -> Iterator[str]:
    if not any(key in c for key in ("name", "telecom", "address", "organization")):
        yield "pat-1: a contact has a name, telecom, address or organization"


def _organization(o: Node) -> Iterator[str]:
    if not datatype_rules.has(o, "name") and "identifier" not in o:
        yield "org-1: a name or an identifier"
    for key, rule in (("address", "org-2"), ("telecom", "org-3")):
        listed = o.get(key)
        if isinstance(listed, list) and any(isinstance(x, dict) and x.get("use") == "home" for x in listed):
            yield f"{rule}: an organization has no home {key}"


def _entity(e: Node) -> Iterator[str]:
    if datatype_rules.has(e, "name") and datatype_rules.has(e, "query"):
        yield "sev-1: an entity has a name or a query, not both"


def _consent(c: Node) -> Iterator[str]:
    if "policy" not in c and "policyRule" not in c:
        yield "ppc-1: a policy or a policyRule"


def _detail(s: Node) -> Iterator[str]:
    if "orderDetail" in s and "code" not in s:
        yield "prr-1: an orderDetail needs a code"


def _task(t: Node) -> Iterator[str]:
    if _backwards(t, "authoredOn", "lastModified"):
        yield "inv-1: last modified after it was authored"


def _reference(r: Node) -> Iterator[str]:
    text = r.get("reference")
    kind = _RELATIVE.match(text) if isinstance(text, str) and "type" in r else None
    if kind and str(r["type"]).rpartition("/")[2] != kind[1]:
        yield "bb-3: the type is that of what the reference points to"
    if isinstance(text, str) and not _LITERAL.fullmatch(text):
        yield "bb-2: a literal reference is Type/id, an absolute address, or the #id of what is contained; conditions stand in transactions"


RULES: dict[str, Callable[[Node], Iterator[str]]] = {
    "Appointment": _appointment, "Appointment.participant": _participant, "AppointmentResponse": _response, "Period": _period, "Slot": _slot,
    "Extension": _extension, "Patient.contact": _contact, "Organization": _organization, "AuditEvent.entity": _entity, "Consent": _consent,
    "ServiceRequest": _detail, "Task": _task, "Reference": _reference, **datatype_rules.RULES,
}
"""Type → the text of each of its invariants that a value breaks, which begins with its key."""


def of_resource(resource: Node) -> Found:
    """dom-2 to dom-5 and ref-1: what only the whole resource shows."""
    contained = resource.get("contained") or []
    ids = {c.get("id") for c in contained}
    used = _named(resource, "reference")
    named = _named(resource) if contained else set()
    for number, inner in enumerate(contained):
        where = f"{resource['resourceType']}.contained[{number}]"
        if "contained" in inner:
            yield where, "dom-2: a contained resource contains none"
        if {"versionId", "lastUpdated"} & set(inner.get("meta") or ()):
            yield where, "dom-4: a contained resource has no version and no lastUpdated"
        if "security" in (inner.get("meta") or {}):
            yield where, "dom-5: a contained resource has no security labels"
        if inner.get("id") in {before.get("id") for before in contained[:number]}:
            yield f"{where}.id", "bb-4: each contained resource has an id of its own"
        if inner.get("id") not in named and "" not in _named(inner):
            yield where, "dom-3: a contained resource is referred to, or refers to the one that it is in"
    for reference in sorted(used - ids - {""}):
        yield resource["resourceType"], f"ref-1: #{reference[:64]} is not contained"


def inside(resource: Node) -> dict[str, str]:
    """`#id` → type of each contained resource; `#`: of the one that it is in."""
    contained = resource.get("contained")
    listed = [inner for inner in contained if isinstance(inner, dict)] if isinstance(contained, list) else []
    return {"#": str(resource.get("resourceType")), **{f"#{inner.get('id')}": str(inner.get("resourceType")) for inner in listed}}


def _named(node: Any, key: str = "") -> set[str]:
    """Every `#id` of the whole tree, without the `#`; with a key, those that stand under it. (A canonical, uri or url may name what is contained,
    too.)"""
    found: set[str] = set()
    rest = [node]
    while rest:
        here = rest.pop()
        for name, value in here.items() if isinstance(here, dict) else ((key, value) for value in here):
            if value.__class__ is dict or value.__class__ is list:
                rest.append(value)
            elif isinstance(value, str) and value[:1] == "#" and (not key or name == key):
                found.add(value[1:])
    return found


def _backwards(node: Node, first: str = "start", last: str = "end") -> bool:
    """The end is wholly before the start; a date is its whole day."""
    begin, end = node.get(first), node.get(last)
    if not isinstance(begin, str) or not isinstance(end, str):
        return False
    try:
        return times.span(end)[1] <= times.span(begin)[0]
    except ValueError:
        return False


def narrative(value: Any) -> str:
    """txt-1, txt-2: well-formed XHTML in a div, with content, of the elements and attributes that R4 lets in. Empty when it is right."""
    if not isinstance(value, str):
        return "must be XHTML"
    try:
        root = etree.fromstring(value.encode(), etree.XMLParser(resolve_entities=False, no_network=True, huge_tree=False))
    except etree.XMLSyntaxError:
        return "must be well-formed XHTML"
    if root.getroottree().docinfo.internalDTD is not None or value.lstrip().startswith("<?"):
        return "must have no document type, and no declaration"
    content = "".join(str(part) for part in root.itertext()).strip() or root.find(f".//{_XHTML}img[@src]") is not None
    if root.tag != f"{_XHTML}div" or not content:
        return "must be a div of XHTML with content"
    for element in root.iter(etree.Element):
        if str(element.tag).removeprefix(_XHTML) not in _ELEMENTS or not {etree.QName(key).localname for key in element.attrib} <= _ATTRIBUTES:
            return "must have nothing but what txt-1 lets in: no scripts, forms or handlers"
        if any(str(v).strip().lower().startswith(("javascript:", "vbscript:", "data:text")) for v in element.attrib.values()):
            return "must have no active content"
    return ""
