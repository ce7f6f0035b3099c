"""The scripts and the style of the page, as they stand in it.

A page that is opened from a folder cannot load modules from other files. So the modules of
`page/` become one script: in the order of MODULES, without their import and export statements.
"""

import base64
import hashlib
import re
from pathlib import Path

from codewatt.errors import CodewattError

_FOLDER = Path(__file__).parent
#: The modules of the page; each imports only modules before it.
MODULES = (
    "dom.js",
    "parquet_data.js",
    "value_text.js",
    "row_selection.js",
    "page_state.js",
    "axis_scales.js",
    "figure_marks.js",
    "figure_drawing.js",
    "figure_panel.js",
    "column_chooser.js",
    "filter_bar.js",
    "table_grid.js",
    "main.js",
)
STYLE = "explorer.css"
#: Bundle of https://github.com/hyparam/hyparquet; vendor/README.md says how it is made.
PARQUET_READER = "hyparquet.js"
_IMPORT = re.compile(r"^import \{[^}]*\} from \"\./\w+\.js\";\n", re.MULTILINE)
_EXPORT = re.compile(r"^export (?=(?:async )?function |const |class )", re.MULTILINE)


def asset_files() -> list[Path]:
    """Every file that becomes part of the page, for the rule that makes it."""
    page = [_FOLDER / "page" / name for name in (*MODULES, STYLE)]
    return [*page, _FOLDER / "vendor" / PARQUET_READER, _FOLDER / "page" / "explorer.html.j2"]


def style() -> str:
    """The style sheet."""
    return _safe(STYLE, (_FOLDER / "page" / STYLE).read_text(encoding="utf-8"))


def parquet_reader() -> str:
    """The script that defines the global `hyparquet`."""
    return _safe(PARQUET_READER, (_FOLDER / "vendor" / PARQUET_READER).read_text(encoding="utf-8"))


def page_script() -> str:
    """The modules of the page as one script.

    Raises:
        CodewattError: a module has an import or export that `page_script` does not know.
    """
    parts = []
    for name in MODULES:
        text = (_FOLDER / "page" / name).read_text(encoding="utf-8")
        text = _EXPORT.sub("", _IMPORT.sub("", text))
        left = re.search(r"^\s*(?:import|export)\b.*", text, re.MULTILINE)
        if left:
            raise CodewattError(f"{name}: {left[0].strip()}: not a form that the page can contain")
        parts.append(f"// {name}\n{_safe(name, text)}")
    return "\n".join(parts)


def content_hash(script: str) -> str:
    """The hash by which a Content-Security-Policy allows an inline script."""
    digest = hashlib.sha256(script.encode("utf-8")).digest()
    return f"'sha256-{base64.b64encode(digest).decode('ascii')}'"


def _safe(name: str, text: str) -> str:
    """The text, if it does not end the element that it is put into."""
    if re.search(r"</(?:script|style)|<!--", text, re.IGNORECASE):
        raise CodewattError(f"{name}: contains </script, </style or <!--, which ends the element")
    return text
