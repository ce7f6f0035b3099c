"""Sphinx settings of the documentation; `make docs` builds it into docs/_build/html."""

project = "codewatt"
author = "the codewatt authors"
extensions = ["myst_parser"]
source_suffix = {".md": "markdown"}
exclude_patterns = ["_build"]
# A link to a heading is the heading's text in lower case with hyphens, as on GitHub.
myst_heading_anchors = 4
myst_enable_extensions = ["colon_fence"]
nitpicky = True
html_theme = "furo"
html_title = "codewatt"
html_static_path = ["_static"]
html_css_files = ["wide_tables.css"]
html_copy_source = False
html_show_sphinx = False
