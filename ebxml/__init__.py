"""Norwegian ebXML: bytes ⇄ values. No I/O, no clock, nothing of the hub's; what is wrong is always one `Violation`. See README.md."""
