# The hub. Built on a machine that reaches the package registries; runs without them.
FROM python:3.12-slim-bookworm AS build
WORKDIR /app
RUN apt-get update && apt-get install -y --no-install-recommends npm && rm -rf /var/lib/apt/lists/*
COPY requirements.lock pyproject.toml README.md assets.lock ./
RUN python -m venv .venv && .venv/bin/python -m pip install --no-cache-dir --require-hashes -r requirements.lock
COPY hub hub
COPY ebxml ebxml
COPY adapters adapters
COPY fhir fhir
COPY docs docs
COPY mappings mappings
COPY tools tools
RUN .venv/bin/python -m pip install --no-cache-dir --no-deps --no-build-isolation -e . && .venv/bin/python tools/fetch.py

FROM python:3.12-slim-bookworm
WORKDIR /app
COPY --from=build /app /app
RUN useradd --system --uid 10001 besoksbro && mkdir /home/besoksbro && chown besoksbro /home/besoksbro
USER besoksbro
ENV BESOKSBRO_HOME=/home/besoksbro PATH=/app/.venv/bin:/usr/local/bin:/usr/bin:/bin
VOLUME /home/besoksbro
EXPOSE 8080
HEALTHCHECK CMD ["python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:8080/health', timeout=3)"]
ENTRYPOINT ["besoksbro"]
CMD ["run"]
