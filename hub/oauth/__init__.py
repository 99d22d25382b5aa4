"""OAuth 2.0 for machines, as HelseID and Maskinporten do it: tokens checked, proofs of possession checked, tokens of our own issued.

Sources: RFC 6749, 7519, 7523 (private_key_jwt), 9068 (JWT access tokens), 9449 (DPoP), 8414 (metadata); facts/helsenorge.md 16.
Everything here is plain functions and values; the clock, the keys' source and the memory of used ids are arguments.
"""
