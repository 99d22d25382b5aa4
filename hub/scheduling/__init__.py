"""Scheduling operations in the IHE style: find a time, hold it, book it, cancel it (facts/fhir.md 3). The rules are those of hub.booking."""
