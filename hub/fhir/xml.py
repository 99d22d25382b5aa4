"""FHIR's XML ⇄ JSON, driven by the definitions and lossless (R4 2.6.1, 2.6.2): ids, extensions of primitives, decimals and narrative stay.

`fhir.resources` loses ids and breaks on comments and prefixes (facts/fhir.md 1.7), so this is ours.
"""

from __future__ import annotations

import copy
import re
from contextlib import suppress
from typing import Any

from lxml import etree

from hub.fhir import strict_json
from hub.fhir.definitions import Definitions, Element, Type
from hub.fhir.strict_json import Decimal
from hub.fhir.validate import PRIMITIVES
from hub.message import Resource
from hub.problem import Problem, Refused

FHIR = "http://hl7.org/fhir"
XHTML = "http://www.w3.org/1999/xhtml"
_LOCATION = "{http://www.w3.org/2001/XMLSchema-instance}schemaLocation"
_INTEGER = re.compile(r"-?(0|[1-9]\d{0,17})", re.ASCII)
_DECIMAL = re.compile(r"-?(0|[1-9]\d{0,17})(\.\d{1,100})?([eE][+-]?\d{1,3})?", re.ASCII)
_WHOLE = ("integer", "positiveInt", "unsignedInt")


def to_xml(resource: Resource, definitions: Definitions, pretty: bool = False) -> bytes:
    """A resource that is valid, as UTF-8 XML in the order of the definitions; `pretty`: in lines, for people."""
    type_ = resource["resourceType"]
    root: etree._Element = etree.Element(f"{{{FHIR}}}{type_}", nsmap={None: FHIR})  # type: ignore[dict-item]
    known = definitions.types if type_ in definitions.types else definitions.of_all()
    _Writer(definitions, known).object(root, resource, known[type_])
    return etree.tostring(root, xml_declaration=True, encoding="UTF-8", pretty_print=pretty)


class _Writer:
    def __init__(self, definitions: Definitions, types: dict[str, Type]) -> None:
        self._definitions, self._types = definitions, types

    def object(self, node: etree._Element, value: dict[str, Any], type_: Type) -> None:
        for name, element in type_.elements.items():
            if name not in value and f"_{name}" not in value:
                continue
            if _is_attribute(name, type_):
                node.set(name, str(value[name]))
                continue
            items, twins = _many(value.get(name)), _many(value.get(f"_{name}"))
            for number in range(max(len(items), len(twins))):
                item = items[number] if number < len(items) else None
                self.item(node, name, element, item, twins[number] if number < len(twins) else None)

    def item(self, parent: etree._Element, name: str, element: Element, item: Any, twin: Any) -> None:
        if element.type == "xhtml" and item is not None:
            parent.append(etree.fromstring(str(item).encode(), _parser("utf-8")))
            return
        node = etree.SubElement(parent, f"{{{FHIR}}}{name}")
        if element.type in PRIMITIVES:
            if item is not None:
                node.set("value", _spelled(item))
            if twin is not None:
                self.object(node, twin, self._types["Element"])
        elif element.type == "Resource":
            inner = etree.SubElement(node, f"{{{FHIR}}}{item['resourceType']}")
            if item["resourceType"] not in self._types:
                self._types = self._definitions.of_all()
            self.object(inner, item, self._types[item["resourceType"]])
        else:
            self.object(node, item, self._types[element.type])


def from_xml(body: bytes, definitions: Definitions) -> Resource:
    """The JSON form of a resource in XML. What breaks FHIR's rules otherwise is left for the validation.

    Raises:
        Refused: UNREADABLE: no XML, with a DTD, nested too deep, not FHIR's namespace; INVALID: an element that is unknown or out of order.
    """
    try:
        root = etree.fromstring(body, _parser())
    except (etree.XMLSyntaxError, ValueError) as wrong:
        raise Refused(Problem.UNREADABLE, "not well-formed XML, or nested too deep") from wrong
    if root.getroottree().docinfo.doctype:  # type: ignore[union-attr]
        raise Refused(Problem.UNREADABLE, "a DTD is not allowed")
    return _Reader(definitions).resource(root, "")


class _Reader:
    def __init__(self, definitions: Definitions) -> None:
        self._definitions, self._types = definitions, definitions.types

    def resource(self, node: etree._Element, where: str) -> Resource:
        name = etree.QName(node)
        if where and name.localname not in self._types:
            self._types = self._definitions.of_all()
        known = self._types.get(name.localname) if where or name.localname in self._definitions.served else None
        if name.namespace != FHIR or known is None or known.kind != "resource":
            raise Refused(Problem.UNREADABLE, "not a resource type that is known here, in the namespace http://hl7.org/fhir", where)
        return {"resourceType": name.localname, **self.object(node, self._types[name.localname], where or name.localname)}

    def object(self, node: etree._Element, type_: Type, where: str) -> dict[str, Any]:
        made: dict[str, Any] = {}
        for key, text in node.attrib.items():
            if key == _LOCATION:  # tells a validator where the schema is, and nobody else anything (R4 xml.html)
                continue
            if not _is_attribute(str(key), type_):
                raise Refused(Problem.INVALID, "an attribute that does not belong here", where)
            made[str(key)] = str(text)
        order, last = {name: number for number, name in enumerate(type_.elements)}, -1
        for child in node.iterchildren(etree.Element):
            name = self._name(child, type_, where)
            if order[name] < last:
                raise Refused(Problem.INVALID, "an element out of order", f"{where}.{name}")
            last = order[name]
            self.item(made, child, name, type_.elements[name], f"{where}.{name}")
        if (node.text or "").strip() or any((child.tail or "").strip() for child in node):
            raise Refused(Problem.INVALID, "text between elements", where)
        return made

    def _name(self, child: etree._Element, type_: Type, where: str) -> str:
        name = etree.QName(child)
        element = type_.elements.get(name.localname)
        wanted = XHTML if element is not None and element.type == "xhtml" else FHIR
        if element is None or name.namespace != wanted or _is_attribute(name.localname, type_):
            raise Refused(Problem.INVALID, "no such element", f"{where}.{name.localname[:64]}")
        return name.localname

    def item(self, made: dict[str, Any], child: etree._Element, name: str, element: Element, where: str) -> None:
        if element.type in PRIMITIVES and element.type != "xhtml":
            self.primitive(made, child, name, element, where)
            return
        value: Any
        if element.type == "xhtml":
            child.tail = None
            div = copy.deepcopy(child)
            etree.cleanup_namespaces(div)  # what the resource declares around it is not the narrative's
            value = etree.tostring(div, encoding="unicode")
        elif element.type == "Resource":
            inner = list(child.iterchildren(etree.Element))
            if len(inner) != 1:
                raise Refused(Problem.INVALID, "holds one resource", where)
            value = self.resource(inner[0], where)
        else:
            value = self.object(child, self._types[element.type], where)
        _put(made, name, value, element.many)

    def primitive(self, made: dict[str, Any], child: etree._Element, name: str, element: Element, where: str) -> None:
        """Its value, and beside it `_name` with id and extensions; in a list both keep their places."""
        text = child.attrib.get("value")
        child.attrib.pop("value", "")
        twin = self.object(child, self._types["Element"], where) or None
        if text is None and twin is None:
            raise Refused(Problem.INVALID, "neither a value nor an extension", where)
        value = None if text is None else _read(str(text), element.type)
        if not element.many:
            for key, each in ((name, value), (f"_{name}", twin)):
                if each is not None:
                    _put(made, key, each, False)
            return
        place = max(len(made.get(name, ())), len(made.get(f"_{name}", ())))
        for key, each in ((name, value), (f"_{name}", twin)):
            if each is not None or key in made:
                made.setdefault(key, []).extend([None] * (place - len(made.get(key, ()))) + [each])


def _put(made: dict[str, Any], name: str, value: Any, many: bool) -> None:
    """An element that stands twice and may not becomes a list, which the validation refuses with its place."""
    if many:
        made.setdefault(name, []).append(value)
    elif name in made:
        made[name] = [*(made[name] if isinstance(made[name], list) else [made[name]]), value]
    else:
        made[name] = value


def _is_attribute(name: str, type_: Type) -> bool:
    return (name == "id" and type_.kind != "resource") or (name == "url" and type_.name == "Extension")


def _many(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [] if value is None else [value]


def _spelled(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return strict_json.dump(value).decode() if isinstance(value, float) else str(value)  # as JSON has it, to the digit


def _read(text: str, type_: str) -> Any:
    if type_ == "boolean" and text in ("true", "false"):
        return text == "true"
    if type_ in _WHOLE and _INTEGER.fullmatch(text):
        return int(text)
    if type_ == "decimal" and _DECIMAL.fullmatch(text):
        with suppress(ValueError):  # too large: no number, says the validation
            return Decimal(text)
    return text


def _parser(encoding: str | None = None) -> etree.XMLParser:
    """`encoding`: what it is, whatever it says of itself."""
    return etree.XMLParser(
        encoding=encoding, resolve_entities=False, no_network=True, huge_tree=False, load_dtd=False, remove_comments=True, remove_pis=True,
    )
