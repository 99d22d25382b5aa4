"""Somebody who orders cannot touch, or see, what another person ordered, by any form of the portal and any id in it."""

from __future__ import annotations

import re

from customers import order
from hubs import World
from pages import application, context
from starlette.testclient import TestClient
from test_ordering_pages import PATH, log_in
from test_series import in_days
from test_waiting_list import Line
from visiting import csrf

from hub.faces.portal.choosing import service_key
from hub.fhir.query import Query
from hub.repeating import Repeating

TYPES = ("Appointment", "CarePlan", "ServiceRequest", "Communication", "Consent")


def test_no_form_changes_what_is_anothers(world: World) -> None:
    line = Line(world)
    victim, attacker = line.ola, line.per
    line.join(victim)
    line.free(0)
    assert line.offered(victim) is not None
    repeating = Repeating(line.shop)
    repeating.start(victim, order("s", in_days(world, 3)))
    made = application(context(world.store, world.clock, shop=line.shop, waiting=line.list, repeating=repeating))
    client = TestClient(made, follow_redirects=False)
    log_in(client, attacker.person)
    token = csrf(client)["csrf"]

    def theirs() -> dict[str, int]:
        return {f"{type_}/{kept.id}": kept.version for type_ in TYPES for kept in world.store.search(Query(type_, count=1000)).entries
                if victim.person in kept.text}

    before, tried = theirs(), 0
    ids = sorted({reference.partition("/")[2] for reference in before})
    assert len(ids) >= 5
    start = re.findall(r'name="tid" value="([^"]+)"', client.get(PATH).text)
    for route in made.routes:
        path, methods = route.path, route.methods  # type: ignore[attr-defined]
        if "{" not in path or path.startswith(("/drift", "/static")):
            continue
        for id_ in ids:
            address = path.replace("{id}", id_).replace("{service}", service_key("hjemmesykepleie"))
            fields = {"csrf": token, "tid": start[-1] if start else "", "grunn": "x", "bestilling": id_, "besok": id_, "tekst": "Hei", "gjenta": "ja",
                      "emne": "x", "fra": "10:00", "til": "11:00"}
            answer = client.post(address, data=fields) if "POST" in methods else client.get(address, params={"besok": id_, "flytt": id_})
            assert answer.status_code in (200, 303, 404, 409), (path, answer.status_code)
            if path.endswith("/slipp"):
                assert answer.headers.get("location", "").startswith("/bestill"), "it lets go of one's own held time"
            elif "{id}" in path:
                assert answer.status_code in (404, 409), (path, id_, answer.status_code)
            tried += 1
    assert tried > 100 and theirs() == before
    assert line.offered(victim) is not None, "nor was what is held for them let go"
