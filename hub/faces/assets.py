"""Style sheets and scripts: read once, served from memory under names that hold their digest, so that browsers may keep them for ever."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

TYPES = {".css": "text/css; charset=utf-8", ".js": "text/javascript; charset=utf-8", ".svg": "image/svg+xml"}
WANTED = ("designsystemet.css", "theme.css", "htmx.min.js")


@dataclass(frozen=True, slots=True)
class Assets:
    """The files of a page, each under its plain name."""

    files: dict[str, tuple[str, bytes]]
    """Plain name → (name with digest, bytes)."""

    @classmethod
    def read(cls, own: Path, fetched: Path) -> Assets:
        """Reads both folders.

        Raises:
            FileNotFoundError: a fetched file is missing; set-up was not run.
        """
        missing = [name for name in WANTED if not (fetched / name).is_file()]
        if missing:
            raise FileNotFoundError(f"{', '.join(missing)} not in {fetched}: run make setup")
        paths = [p for p in sorted(own.iterdir()) if p.suffix in TYPES] + [fetched / name for name in WANTED]
        return cls({p.name: _named(p) for p in paths})

    def url(self, name: str) -> str:
        """Where the page finds it: `/static/portal.1f2e3d4c5b6a.css`."""
        return f"/static/{self.files[name][0]}"

    def route(self) -> Route:
        """GET /static/<name with digest>."""
        by_url = dict(self.files.values())

        def static(request: Request) -> Response:
            name = request.path_params["name"]
            if name not in by_url:
                return Response(status_code=404, headers={"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"})
            return Response(by_url[name], headers={
                "Content-Type": TYPES[Path(name).suffix],
                "Cache-Control": "public, max-age=31536000, immutable",
                "X-Content-Type-Options": "nosniff",
            })

        return Route("/static/{name}", static)


def _named(path: Path) -> tuple[str, bytes]:
    body = path.read_bytes()
    return f"{path.stem}.{hashlib.sha256(body).hexdigest()[:12]}{path.suffix}", body
