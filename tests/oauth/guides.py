"""The examples of a guide: each block is sent as it stands, with the names in braces filled in; the line behind `>` is the status it gets."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import httpx

_BLOCK = re.compile(r"```http\n(.*?)\n> (\d+)\n```", re.DOTALL)


def sent(client: httpx.Client, guide: str, base: str, names: dict[str, str]) -> Iterator[tuple[str, str, httpx.Response]]:
    """(path, status as it is told, answer) of each example of `docs/<guide>`, in order; `names` may grow meanwhile."""
    text = (Path(__file__).parents[2] / "docs" / guide).read_text(encoding="utf-8")
    for block, status in _BLOCK.findall(text):
        for name, value in names.items():
            block = block.replace(f"{{{name}}}", value)
        head, _, body = block.partition("\n\n")
        asked, *lines = head.split("\n")
        method, path = asked.split(" ", 1)
        content = body.replace("|", "%7C") if "urlencoded" in head else body
        answer = client.request(method, f"{base}{path}", headers=dict(line.split(": ", 1) for line in lines), content=content.encode())
        assert answer.status_code == int(status), (asked, answer.text)
        yield path, status, answer
