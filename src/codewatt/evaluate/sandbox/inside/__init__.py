"""The modules that run inside a sandbox, as single files without this package."""
