"""The public contract suites: subclass one to prove a store, a boundary or an entry. The package imports none."""
