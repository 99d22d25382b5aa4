"""Random searches against a model: what R4 says of each condition, include, order, total and page, in plain Python on plain resources."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from itertools import pairwise
from typing import Any

import httpx
import pytest

Resource = dict[str, Any]
Meets = Callable[[Resource], bool]
Asked = tuple[str, str, Meets]
"""Name, value and meaning of a condition."""
ROLE = "http://terminology.hl7.org/CodeSystem/v3-RoleCode"
ROLES = "http://terminology.hl7.org/ValueSet/v3-ServiceDeliveryLocationRoleType"
KINDS = "http://terminology.hl7.org/CodeSystem/v2-0203"
TOKENS = {
    "Location": {"status": "status", "type": "type", "identifier": "identifier"}, "Organization": {"identifier": "identifier", "active": "active"},
    "Task": {"status": "status", "code": "code", "identifier": "identifier"},
}
TEXTS = {"Location": {"name": "name"}, "Organization": {"name": "name"}, "Task": {}}
DATES = {"Location": {}, "Organization": {}, "Task": {"authored-on": "authoredOn"}}
LINKS = {
    "Location": {"partof": ("partOf", "Location"), "organization": ("managingOrganization", "Organization")},
    "Organization": {"partof": ("partOf", "Organization")}, "Task": {"part-of": ("partOf", "Task"), "focus": ("focus", "Location")},
}
DAYS = [f"2026-11-{day:02}" for day in (1, 2, 3)]
NAMES = ["Ås", "Asker", "ask", "Bø"]


def made(dice: random.Random) -> dict[str, Resource]:
    """Forty or so resources that point to each other, with gaps everywhere."""
    found: dict[str, Resource] = {}

    def some(**elements: Callable[[], Any]) -> Resource:
        return {name: make() for name, make in elements.items() if dice.random() < 0.7}

    def named() -> list[Resource]:
        return [{"system": f"urn:{dice.choice('ab')}", "value": dice.choice("12"), **some(type=lambda: {"coding": [{"system": KINDS, "code": "SNO"}]})}]

    def link(type_: str, count: int) -> Callable[[], Resource]:
        return lambda: dice.choice([{"reference": f"{type_}/m{dice.randrange(count)}"}] * 4 + [{"identifier": named()[0]}, {"display": "Ås plass"}])

    for n in range(8):
        found[f"Organization/m{n}"] = some(
            name=lambda: dice.choice(NAMES), identifier=named, active=lambda: dice.random() < 0.5, partOf=link("Organization", 8)) | {"name": NAMES[n % 4]}
    for n in range(14):
        kinds = lambda: [{"coding": [{"system": ROLE, "code": dice.choice(["PTRES", "PC", "CHILD"]), "display": "Hjem"}], **some(text=lambda: "Stue")}]
        found[f"Location/m{n}"] = some(
            name=lambda: dice.choice(NAMES), status=lambda: dice.choice(["active", "inactive"]), type=kinds, identifier=named,
            partOf=link("Location", 14), managingOrganization=link("Organization", 8))
    for n in range(18):
        found[f"Task/m{n}"] = {"status": dice.choice(["requested", "draft"]), "intent": "order"} | some(
            code=lambda: {"coding": [{"system": "urn:c", "code": dice.choice("xy")}]}, identifier=named, focus=link("Location", 14),
            partOf=lambda: [link("Task", 18)()], authoredOn=lambda: f"{dice.choice(DAYS)}T{dice.choice(['08', '09'])}:00:00+01:00")
    return {at: {"resourceType": at.partition("/")[0], "id": at.partition("/")[2], **rest} for at, rest in found.items()}


def several(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [] if value is None else [value]


def codes(resource: Resource, element: str) -> list[tuple[str, str]]:
    """(system, code) of a code, a CodeableConcept, an Identifier or a boolean."""
    found = []
    for each in several(resource.get(element)):
        for one in each.get("coding", [each]) if isinstance(each, dict) else [each]:
            found.append((one["system"], one.get("code") or one["value"]) if isinstance(one, dict) else ("", str(one).lower() if isinstance(one, bool) else one))
    return found


def targets(resource: Resource, element: str) -> list[str]:
    return [each["reference"] for each in several(resource.get(element)) if "reference" in each]


def folded(text: str) -> str:
    return text.lower().replace("å", "a").replace("ø", "o")


class World:
    """The model, and what is asked of it."""

    def __init__(self, dice: random.Random, kept: dict[str, Resource]) -> None:
        self.dice, self.kept = dice, kept

    def of(self, type_: str) -> list[Resource]:
        return [each for at, each in self.kept.items() if at.startswith(f"{type_}/")]

    def condition(self, type_: str, depth: int = 2) -> Asked:
        makers = [self.token, self.link, self.updated, *([self.text] if TEXTS[type_] else []), *([self.date] if DATES[type_] else [])]
        if depth:
            makers += [self.chain, self.has] * 2
        return self.dice.choice(makers)(type_, depth)

    def token(self, type_: str, _: int) -> Asked:
        name, element = self.dice.choice(sorted(TOKENS[type_].items()))
        values = sorted({pair for each in self.of(type_) for pair in codes(each, element)})
        asked = [self.dice.choice([pair, ("", pair[1])] if pair[0] else [pair]) for pair in self.dice.sample(values, self.dice.choice([1, 1, 2]))]
        text = ",".join(f"{system}|{code}" if system else code for system, code in asked)

        def meets(resource: Resource) -> bool:
            return any(code == c and system in ("", s) for s, c in codes(resource, element) for system, code in asked)

        kind = self.dice.choice(["", "not", "missing", *(["of-type"] if name == "identifier" else []), *(["in", "not-in", "text"] if name == "type" else [])])
        match kind:
            case "not":
                return f"{name}:not", text, lambda r: not meets(r)
            case "missing":
                wanted = self.dice.random() < 0.5
                return f"{name}:missing", str(wanted).lower(), lambda r: (not r.get(element) and r.get(element) is not False) == wanted
            case "of-type":
                typed = self.dice.choice("12")
                return f"{name}:of-type", f"{KINDS}|SNO|{typed}", lambda r: any(i["value"] == typed and "type" in i for i in r.get(element, ()))
            case "in" | "not-in":
                return f"{name}:{kind}", ROLES, lambda r: any(code in ("PTRES", "PC") for _, code in codes(r, element)) == (kind == "in")
            case "text":
                word = self.dice.choice(["hj", "STU", "jem"])
                words = lambda r: [t for c in r.get(element, ()) for t in (c["coding"][0]["display"], c.get("text", ""))]
                return f"{name}:text", word, lambda r: any(folded(t).startswith(folded(word)) for t in words(r) if t)
        return name, text, meets

    def text(self, type_: str, _: int) -> Asked:
        ((name, element),) = TEXTS[type_].items()
        value, kind = self.dice.choice(["as", "Ås", "k", "Bø", "ask"]), self.dice.choice(["", "exact", "contains", "missing"])
        if kind == "missing":
            return f"{name}:missing", "true", lambda r: element not in r
        compare: dict[str, Callable[[str], bool]] = {
            "": lambda t: folded(t).startswith(folded(value)), "contains": lambda t: folded(value) in folded(t), "exact": lambda t: t == value}
        return f"{name}:{kind}".rstrip(":"), value, lambda r: element in r and compare[kind](r[element])

    def date(self, type_: str, _: int) -> Asked:
        ((name, element),) = DATES[type_].items()
        prefix, day = self.dice.choice(["", "ne", "gt", "ge", "lt", "le", "sa", "eb"]), self.dice.choice(DAYS)
        compare: dict[str, Callable[[str], bool]] = {
            "": lambda t: t == day, "ne": lambda t: t != day, "gt": lambda t: t > day, "sa": lambda t: t > day, "lt": lambda t: t < day,
            "eb": lambda t: t < day, "ge": lambda t: t >= day, "le": lambda t: t <= day}
        return name, f"{prefix}{day}", lambda r: element in r and compare[prefix](r[element][:10])

    def updated(self, type_: str, _: int) -> Asked:
        prefix = self.dice.choice(["", "ne", "gt", "ge", "lt", "le", "sa", "eb"])
        time = self.dice.choice(sorted({r["meta"]["lastUpdated"] for r in self.kept.values()}))
        compare: dict[str, Callable[[str], bool]] = {
            "": lambda t: t == time, "ne": lambda t: t != time, "gt": lambda t: t > time, "sa": lambda t: t > time, "lt": lambda t: t < time,
            "eb": lambda t: t < time, "ge": lambda t: t >= time, "le": lambda t: t <= time}
        return "_lastUpdated", f"{prefix}{time}", lambda r: compare[prefix](r["meta"]["lastUpdated"])

    def link(self, type_: str, _: int) -> Asked:
        name, (element, target) = self.dice.choice(sorted(LINKS[type_].items()))
        id_ = f"m{self.dice.randrange(8)}"
        match self.dice.choice(["", "type", "missing", "identifier", "text"]):
            case "missing":
                wanted = self.dice.random() < 0.5
                return f"{name}:missing", str(wanted).lower(), lambda r: (element not in r) == wanted
            case "identifier":
                system, value = f"urn:{self.dice.choice('ab')}", self.dice.choice("12")
                said = lambda r: [(i["system"], i["value"]) for e in several(r.get(element)) if (i := e.get("identifier"))]
                return f"{name}:identifier", f"{system}|{value}", lambda r: (system, value) in said(r)
            case "text":
                return f"{name}:text", "ås", lambda r: any("display" in e for e in several(r.get(element)))
            case "type":
                return f"{name}:{target}", id_, lambda r: f"{target}/{id_}" in targets(r, element)
        return name, f"{target}/{id_}", lambda r: f"{target}/{id_}" in targets(r, element)

    def chain(self, type_: str, depth: int) -> Asked:
        name, (element, target) = self.dice.choice(sorted(LINKS[type_].items()))
        rest, value, meets = self.condition(target, depth - 1)
        if rest == "identifier":  # a chain by identifier also hears what the reference itself says: docs/fhir-api.md
            return self.link(type_, depth)
        return f"{name}:{target}.{rest}", value, lambda r: any(at in self.kept and meets(self.kept[at]) for at in targets(r, element))

    def has(self, type_: str, depth: int) -> Asked:
        pointing = [(source, name, element) for source, links in LINKS.items() for name, (element, target) in links.items() if target == type_]
        if not pointing:
            return self.token(type_, depth)
        source, name, element = self.dice.choice(sorted(pointing))
        rest, value, meets = self.condition(source, depth - 1)
        return f"_has:{source}:{name}:{rest}", value, lambda r: any(
            f"{type_}/{r['id']}" in targets(each, element) and meets(each) for each in self.of(source))

    def includes(self, type_: str) -> list[tuple[str, str, str, bool]]:
        """(parameter, source type, its parameter, iterate): mostly such as bring something along."""
        every = [(source, name, target) for source, links in LINKS.items() for name, (_, target) in links.items()]
        fit = [("_include", s, n) for s, n, _ in every if s == type_] + [("_revinclude", s, n) for s, n, target in every if target == type_]
        chosen = [self.dice.choice(fit) if fit else ("_include", *every[0][:2])] if self.dice.random() < 0.7 else []
        chosen += [(self.dice.choice(["_include", "_revinclude"]), *self.dice.choice(every)[:2]) for _ in range(self.dice.randrange(3))]
        return [(*each, self.dice.random() < 0.6) for each in chosen]

    def brought(self, matches: set[str], includes: list[tuple[str, str, str, bool]]) -> set[str]:
        """What comes along: of the matches; by `:iterate` also of what came along."""
        found, fresh, first = set[str](), matches, True
        while fresh:
            come = set[str]()
            for kind, source, name, iterate in includes:
                element = LINKS[source][name][0]
                if not (first or iterate):
                    continue
                if kind == "_include":
                    come |= {at for one in fresh if one.startswith(f"{source}/") for at in targets(self.kept[one], element) if at in self.kept}
                else:
                    come |= {f"{source}/{each['id']}" for each in self.of(source) if set(targets(each, element)) & fresh}
            fresh, first = come - found - matches, False
            found |= fresh
        return found

    def sorting(self, type_: str) -> list[tuple[str, Callable[[Resource], list[str]]]]:
        keys: list[tuple[str, Callable[[Resource], list[str]]]] = [("_id", lambda r: [r["id"]]), ("_lastUpdated", lambda r: [r["meta"]["lastUpdated"]])]
        keys += [(name, lambda r, e=element: [folded(t) for t in several(r.get(e))]) for name, element in TEXTS[type_].items()]  # type: ignore[misc]
        keys += [(name, lambda r, e=element: [c for _, c in codes(r, e)]) for name, element in TOKENS[type_].items()]  # type: ignore[misc]
        keys += [(name, lambda r, e=element: several(r.get(e)) or [""]) for name, element in DATES[type_].items()]  # type: ignore[misc]  # main times: earliest
        chosen = self.dice.sample(keys, self.dice.choice([0, 1, 2, 3]))
        return [(f"{self.dice.choice(['', '-'])}{name}", values) for name, values in chosen]


def in_order(found: list[Resource], keys: list[tuple[str, Callable[[Resource], list[str]]]]) -> bool:
    """Each stands where its keys say; what has none stands last, in both directions."""
    for one, other in pairwise(found):
        for name, values in keys:
            of_one, of_other = values(one), values(other)
            if not of_one or not of_other:
                if bool(of_one) != bool(of_other):
                    if not of_one:
                        return False
                    break
                continue
            down = name.startswith("-")
            a, b = (max(of_one), max(of_other)) if down else (min(of_one), min(of_other))
            if a != b:
                if (a < b) is down:
                    return False
                break
    return True


def pages(api: httpx.Client, type_: str, asked: list[tuple[str, str]], between: Callable[[], None] = lambda: None) -> Iterator[Resource]:
    answer = api.get(f"/{type_}", params=asked)
    while True:
        assert answer.status_code == 200, (asked, answer.text)
        page: Resource = answer.json()
        yield page
        following = next((link["url"] for link in page["link"] if link["relation"] == "next"), None)
        if following is None:
            return
        between()
        answer = api.get(following)


def kept_in(api: httpx.Client, resources: dict[str, Resource]) -> dict[str, Resource]:
    """Written in three commits, so that their times differ, and read back."""
    every = list(resources.values())
    for part in (every[:10], every[10:25], every[25:]):
        entries = [{"request": {"method": "PUT", "url": f"{r['resourceType']}/{r['id']}"}, "resource": r} for r in part]
        answer = api.post("/", json={"resourceType": "Bundle", "type": "transaction", "entry": entries})
        assert answer.status_code == 200, answer.text
        for entry in answer.json()["entry"]:
            resources[f"{entry['resource']['resourceType']}/{entry['resource']['id']}"] = entry["resource"]
    return resources


@pytest.mark.spec("facts/fhir", "1.3")
def test_random_searches_find_order_count_and_include_what_the_model_does(api: httpx.Client) -> None:
    """Conditions with every modifier, two chains or `_has` deep; includes both ways with `:iterate`; several sort keys with values that are missing;
    totals; pages. Each search is also asked by count, by text and by elements."""
    dice = random.Random(20261128)
    world = World(dice, kept_in(api, made(dice)))
    sizes = []
    for number in range(120):
        type_ = dice.choice(sorted(TOKENS))
        conditions = [world.condition(type_) for _ in range(dice.choice([1, 1, 2]))]
        asked = [(name, value) for name, value, _ in conditions] + [("_id", ",".join(f"m{n}" for n in range(20)))]
        matches = {f"{type_}/{each['id']}" for each in world.of(type_) if all(meets(each) for _, _, meets in conditions)}
        keys, includes = world.sorting(type_), world.includes(type_)
        more = [("_sort", ",".join(name for name, _ in keys))] if keys else []
        more += [(f"{kind}{':iterate' if iterate else ''}", f"{source}:{name}") for kind, source, name, iterate in includes]
        found, totals, alongs = list[Resource](), set[int](), set[str]()
        for page in pages(api, type_, [*asked, *more, ("_total", "accurate"), ("_count", dice.choice(["3", "100"]))]):
            of_page = [e["resource"] for e in page.get("entry", ()) if e["search"]["mode"] == "match"]
            along = {f"{e['resource']['resourceType']}/{e['resource']['id']}" for e in page.get("entry", ()) if e["search"]["mode"] == "include"}
            assert along == world.brought({f"{type_}/{r['id']}" for r in of_page}, includes), (number, asked, more)
            found += of_page
            totals.add(page["total"])
            alongs |= along
        assert sorted(f"{type_}/{r['id']}" for r in found) == sorted(matches), (number, asked)
        stands = [[(name, values(r)) for name, values in keys] for r in found]
        assert totals == {len(matches)} and in_order(found, keys), (number, asked, more, stands)
        count = api.get(f"/{type_}", params=[*asked, ("_summary", "count")]).json()
        assert count["total"] == len(matches) and "entry" not in count
        part = dice.choice([("_summary", "text"), ("_summary", "data"), ("_summary", "true"), ("_elements", "status,id")])
        (cut,) = pages(api, type_, [*asked, *more, part, ("_count", "100")])
        entries = cut.get("entry", [])
        assert {f"{type_}/{e['resource']['id']}" for e in entries if e["search"]["mode"] == "match"} == matches, (number, asked, part)
        assert all({"code": "SUBSETTED", "system": "http://terminology.hl7.org/CodeSystem/v3-ObservationValue"} in e["resource"]["meta"]["tag"] for e in entries
                   if e["search"]["mode"] == "match")
        assert part != ("_summary", "text") or ([e for e in entries if e["search"]["mode"] == "include"] == [] and "_include" not in cut["link"][0]["url"])
        sizes.append((len(matches), len(alongs)))
    assert sum(0 < many < 14 for many, _ in sizes) > 40 and sum(many > 0 for _, many in sizes) > 20, "and not all of them find nothing, or everything"


@pytest.mark.spec("facts/fhir", "1.4.pages")
def test_pages_hold_while_rows_come_change_and_go(api: httpx.Client) -> None:
    """What was there all the time stands on exactly one page, whatever else is written between the pages, by any order, forward and back."""
    dice = random.Random(7)
    world = World(dice, kept_in(api, made(dice)))
    for number in range(12):
        steady, keys = {r["id"] for r in world.of("Task")}, world.sorting("Task")
        new = iter(range(100))

        def between() -> None:
            at = f"Task/x{number}-{next(new)}"
            fresh = {"resourceType": "Task", "id": at[5:], "status": "requested", "intent": "order", "authoredOn": f"{dice.choice(DAYS)}T08:30:00+01:00"}
            assert api.put(f"/{at}", json=fresh).status_code == 201
            touched = world.kept[f"Task/{dice.choice(sorted(steady))}"]
            if not any("_lastUpdated" in name for name, _ in keys):
                assert api.put(f"/Task/{touched['id']}", json={**touched, "description": f"{number} {at}"}).status_code == 200

        asked = [("_count", "4"), *([("_sort", ",".join(name for name, _ in keys))] if keys else [])]
        every = list(pages(api, "Task", asked, between))
        seen = [e["resource"]["id"] for page in every for e in page.get("entry", ())]
        assert sorted(id_ for id_ in seen if id_ in steady) == sorted(steady) and len(seen) == len(set(seen)), (number, asked)
        back = every[-1]
        again = [e["resource"]["id"] for e in reversed(back.get("entry", ()))]
        while url := next((link["url"] for link in back["link"] if link["relation"] == "previous"), None):
            back = api.get(url).json()
            again += [e["resource"]["id"] for e in reversed(back.get("entry", ()))]
        assert sorted(id_ for id_ in again if id_ in steady) == sorted(steady) and len(again) == len(set(again)), (number, asked)
        kept = api.get("/Task", params={"_id": ",".join(sorted(steady)), "_count": "100"}).json()["entry"]
        world.kept |= {f"Task/{e['resource']['id']}": e["resource"] for e in kept}
