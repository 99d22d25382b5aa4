"""The implementation guide under /docs: the vendor-facing documents of docs/, and the profiles, as pages that anybody may read."""

from __future__ import annotations

import re
from functools import partial
from pathlib import Path

from markdown_it import MarkdownIt
from markdown_it.renderer import RendererHTML
from markdown_it.token import Token
from markupsafe import Markup
from starlette.routing import Route

from hub.faces.context import Context
from hub.faces.web import Asked, Face, Page
from hub.fhir.compact import ROOT
from hub.fhir.profiles import IMPOSED, Profiles
from hub.message import Resource

FOLDER = ROOT / "docs"
PAGES = {
    "": ("The FHIR API", "fhir-api.md"), "booking": ("Booking", "booking.md"), "booking-api": ("Booking API", "booking-api.md"),
    "messages": ("Messages", "messages.md"), "problems": ("Problems", "problems.md"), "profiles": ("Profiles", ""),
}
"""Address below /docs → its name in the menu, and the file; no file: made from the definitions."""
_HEADING = re.compile(r"[^a-z0-9]+")


def routes(context: Context, profiles: Profiles, folder: Path = FOLDER) -> list[Route]:
    """Each page, read and rendered once. Raises FileNotFoundError when the documents were not installed with the hub."""
    face = Face("guide", context, "/docs")
    found = []
    for page, (_, file) in PAGES.items():
        text = (folder / file).read_text(encoding="utf-8") if file else of_profiles(profiles)
        found.append(face.page(f"/docs/{page}".rstrip("/"), partial(_page, here=page, body=rendered(text)), open=True))
    return found


def _page(_: Context, asked: Asked, here: str, body: Markup) -> Page:
    menu = [(f"/docs/{page}".rstrip("/"), name, page == here) for page, (name, _) in PAGES.items()]
    return Page("guide/page.html", {"menu": menu, "name": PAGES[here][0], "text": body})


def rendered(text: str) -> Markup:
    """Markdown as HTML: no raw HTML, headings that can be linked to, tables and examples that can be scrolled by keyboard."""
    reader = MarkdownIt("commonmark", {"html": False}).enable("table")
    for name, rule in _RULES.items():
        reader.add_render_rule(name, rule)
    return Markup(reader.render(re.sub(r"<!--.*?-->", "", text, flags=re.DOTALL)))


def of_profiles(profiles: Profiles) -> str:
    """The profiles in Markdown: what each asks, element by element."""
    parts = [
        "# Profiles", "What a resource that declares one of these (`meta.profile`, by either canonical) is held to. The same is read by machines at"
        " `/fhir/StructureDefinition` and `/fhir/ValueSet`.",
    ]
    for resource in profiles.resources:
        if resource["resourceType"] != "StructureDefinition":
            continue
        imposed = [e["valueCanonical"] for e in resource.get("extension", ()) if e["url"] == IMPOSED]
        rows = [f"| `{element['id']}` | {'; '.join(asked)} |" for element in resource["differential"]["element"] if (asked := _asked(element))]
        parts += [
            f"## {resource['title']}", f"{resource['type']} · `{resource['url']}`" + "".join(f" · `{url}`" for url in imposed),
            resource["description"], "\n".join(["| element | what is asked |", "|---|---|", *rows]),
        ]
    return "\n\n".join(parts)


def _asked(element: Resource) -> list[str]:
    """One element's rules, in words."""
    told = [f"at least {element['min']}"] if element.get("min") else []
    told += ["must not stand" if element["max"] == "0" else f"at most {element['max']}"] if element.get("max", "*") != "*" else []
    told += [f"is `{value}`" for key, value in element.items() if key.startswith(("fixed", "pattern"))]
    told += [f"at most {element['maxLength']} characters"] if "maxLength" in element else []
    told += [f"a code of `{element['binding']['valueSet']}`"] if "binding" in element else []
    for kind in element.get("type", ()):
        told += [f"as `{url}`" for url in kind.get("profile", ())]
        told += [f"points to {url.rpartition('/')[2]}" for url in kind.get("targetProfile", ())]
        told += [f"a {kind['code']}"] if element["id"].endswith("[x]") else []
    return told + [f"`{c['key']}`: {c['human']}" + (" (warning)" if c["severity"] == "warning" else "") for c in element.get("constraint", ())]


def _heading(self: RendererHTML, tokens: list[Token], at: int, options: object, env: object) -> str:
    name = _HEADING.sub("-", tokens[at + 1].content.lower()).strip("-")
    return f'<{tokens[at].tag} class="ds-heading" id="{name}">'


def _table(self: RendererHTML, tokens: list[Token], at: int, options: object, env: object) -> str:
    return '<div class="scroll" role="group" aria-label="Table" tabindex="0"><table class="ds-table">'


def _end_of_table(self: RendererHTML, tokens: list[Token], at: int, options: object, env: object) -> str:
    return "</table></div>"


def _example(self: RendererHTML, tokens: list[Token], at: int, options: object, env: object) -> str:
    return f'<pre class="scroll" role="group" aria-label="Example" tabindex="0"><code>{Markup.escape(tokens[at].content)}</code></pre>'


def _link(self: RendererHTML, tokens: list[Token], at: int, options: object, env: object) -> str:
    """A link to another document is one to its page."""
    to = str(tokens[at].attrs.get("href", ""))
    document, _, place = to.partition("#")
    page = next((page for page, (_, file) in PAGES.items() if file and document == file), None)
    if page is not None:
        to = f"/docs/{page}".rstrip("/") + (f"#{place}" if place else "")
    return f'<a class="ds-link" href="{Markup.escape(to)}">'


_RULES = {"heading_open": _heading, "table_open": _table, "table_close": _end_of_table, "fence": _example, "link_open": _link}
