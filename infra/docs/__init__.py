"""The documentation site: how pages of the repository become pages of a site, for `make docs`."""
