"""FHIR R4 without network: definitions, validation, search, outcomes and bundles. `fhir.resources` owns the name `fhir`."""
