"""`python -m adapters.epj --home DIR`: one EPJ as a process of its own."""

from __future__ import annotations

import argparse
import asyncio
import logging
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from adapters.epj.box import Box, NoAnswer
from adapters.epj.settings import read
from hub.message import Parcel


def application(box: Box) -> Starlette:
    """POST /meldinger, POST /fhir/Appointment/$find, GET /records, GET /health."""
    pool = ThreadPoolExecutor(4)

    async def letters(request: Request) -> Response:
        parcel = Parcel({k.lower(): v for k, v in request.headers.items()}, await request.body())
        try:
            reply = await asyncio.get_running_loop().run_in_executor(pool, box.receive, parcel)
        except NoAnswer:
            return Response(status_code=504)
        if reply is None:
            return Response(status_code=204)
        return Response(reply.body, reply.status, dict(reply.headers))

    async def calendar(request: Request) -> Response:
        asked = await request.json()
        return JSONResponse(await asyncio.get_running_loop().run_in_executor(pool, box.calendar, asked), media_type="application/fhir+json")

    async def records(request: Request) -> Response:
        return JSONResponse(box.records.report())

    async def health(request: Request) -> Response:
        return JSONResponse({"status": "ok", "name": box.settings.name})

    return Starlette(routes=[
        Route("/meldinger", letters, methods=["POST"]), Route("/fhir/Appointment/$find", calendar, methods=["POST"]),
        Route("/records", records), Route("/health", health),
    ])


def main() -> None:
    """Runs until it is told to stop."""
    parser = argparse.ArgumentParser(prog="epj", description="EPJ in a box")
    parser.add_argument("--home", type=Path, required=True)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    logging.getLogger("httpx").setLevel(logging.WARNING)
    box = Box(read(parser.parse_args().home))
    thread = threading.Thread(target=box.run, name="tell", daemon=True)
    thread.start()
    try:
        uvicorn.run(application(box), host="127.0.0.1", port=box.settings.port, log_level="warning", access_log=False)
    finally:
        box.stop()
        thread.join(timeout=5)


if __name__ == "__main__":
    main()
