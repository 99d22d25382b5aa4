"""What people and systems see: portal, console, FHIR, inboxes and health."""
