"""Registries: certificates and agreements, from a home folder, a CPA or an address register."""
