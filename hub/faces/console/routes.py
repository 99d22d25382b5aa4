"""The console's addresses."""

from __future__ import annotations

from functools import partial

from starlette.routing import BaseRoute

from hub.faces import late
from hub.faces.console import behalf, benefits, departments, incoming, login, messages, notices, start, subscriptions, threads, timeline
from hub.faces.context import Context
from hub.faces.web import Face
from hub.oauth.limits import Limiter

LOGIN = "/drift/logg-inn"


def routes(context: Context) -> list[BaseRoute]:
    """Every address of the console. Put them before the portal's."""
    console = Face("console", context, LOGIN, login.known)
    return [
        console.page("/drift", start.start),
        console.page("/drift/koblinger", start.adapters),
        console.page("/drift/abonnementer", subscriptions.subscriptions),
        console.page("/drift/abonnement/{id}", subscriptions.subscription),
        console.form("/drift/abonnement/{id}", subscriptions.turn),
        console.page("/drift/varsler", notices.notices),
        console.form("/drift/varsler", notices.send),
        console.page("/drift/feil", start.problems),
        console.page("/drift/gevinst", benefits.benefits),
        console.page("/drift/gevinst.csv", benefits.as_csv),
        console.page("/drift/gevinst.json", benefits.as_fhir),
        console.page("/drift/avdelinger", departments.departments),
        console.page("/drift/avdelinger/ny", departments.begin),
        console.form("/drift/avdelinger/ny", departments.make),
        console.page("/drift/avdelinger/{id}", departments.department),
        console.form("/drift/avdelinger/{id}", departments.preview),
        console.form("/drift/avdelinger/{id}/lagre", departments.apply),
        console.page("/drift/bestill", behalf.ask),
        console.form("/drift/bestill", behalf.find),
        console.page("/drift/bestill/{person}", behalf.person),
        console.form("/drift/bestill/{person}", behalf.act),
        console.page("/drift/brukermeldinger", threads.threads),
        console.page("/drift/brukermeldinger/{id}", threads.thread),
        console.form("/drift/brukermeldinger/{id}", threads.answer, files=context.messaging.limits),
        console.page("/drift/brukermeldinger/{id}/vedlegg/{file}", threads.attachment),
        console.page("/drift/meldinger", messages.messages),
        console.page("/drift/melding/{id}", messages.delivery),
        console.form("/drift/melding/{id}/send", messages.resend),
        console.page("/drift/mottatt/{key:int}", incoming.incoming),
        console.form("/drift/mottatt/{key:int}/behandle", incoming.again),
        console.page("/drift/avtale/{id}", timeline.timeline),
        console.page(LOGIN, login.ask, open=True),
        console.form(LOGIN, partial(login.enter, Limiter(context.clock)), open=True),
        console.form("/drift/logg-ut", login.leave),
        console.page("/drift/fortsett", late.ask),
        console.form("/drift/fortsett", late.send),
    ]
