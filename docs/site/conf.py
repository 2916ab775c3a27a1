"""The site of the documentation: ``.ci/docs`` builds it from the pages as they are.

The pages are written for whoever reads them in the repository.  What only a site needs is added here: the order of the
pages, and the text behind the names in ``api.md``, which comes from the docstrings.
"""

import re
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

from slir_milp import __version__

project = "slir_milp"
author = "the slir_milp authors"
release = version = __version__

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
source_suffix = {".md": "markdown"}
exclude_patterns = ["site"]
myst_heading_anchors = 4

autodoc_default_options = {"members": True, "member-order": "bysource"}
autodoc_typehints = "signature"
autodoc_typehints_format = "short"
napoleon_google_docstring = False
napoleon_use_ivar = True
napoleon_custom_sections = ["Soundness"]

html_theme = "furo"
html_title = f"slir_milp {version}"
html_show_copyright = html_show_sphinx = html_copy_source = False

ORDER = {
    "Tutorials": ["tutorial*"],
    "Reference": ["api", "command-line", "queries", "operators", "activations", "formats", "proof-format", "problems"],
    "Why it can be relied on": ["trust", "proofs", "how-it-works", "linear-programs", "performance"],
    "Decisions": ["decisions/index", "decisions/*"],
}
"""The order of the pages.  A new page needs no entry: it comes along where its name fits a pattern, or else last."""

_SEVERAL = re.compile(r"(\s*)(\w+(?:, \w+)+)")
_TO_PARENT = re.compile(r"\[([^\]]*)\]\(((?:\.\./)+[^)\s#]*)\)")


def _add_contents(_app: Any, docname: str, source: list[str]) -> None:
    """Append the table of contents to the first page."""
    if docname == "index":
        named = [page for pages in ORDER.values() for page in pages]
        found = sorted(page.stem for page in Path(__file__).parent.parent.glob("*.md") if page.stem != "index")
        others = [page for page in found if not any(fnmatch(page, pattern) for pattern in named)]
        for caption, pages in {**ORDER, **({"More": others} if others else {})}.items():
            listed = "\n".join(pages)
            source[0] += f"\n```{{toctree}}\n:hidden:\n:glob:\n:caption: {caption}\n\n{listed}\n```\n"


def _unlink_folders(app: Any, docname: str, source: list[str]) -> None:
    """Leave the text of links to folders of the repository, which a site cannot show; files it takes in by itself."""
    page = Path(app.env.doc2path(docname))

    def text_alone(link: re.Match[str]) -> str:
        return link[1] if (page.parent / link[2]).is_dir() else link[0]

    source[0] = _TO_PARENT.sub(text_alone, source[0])


def _one_by_one(_app: Any, _what: str, _name: str, _object: object, _options: object, lines: list[str]) -> None:
    """Let names that share a description in a docstring each have it: attributes are read one by one."""
    n = 0
    while n < len(lines):
        match = _SEVERAL.fullmatch(lines[n])
        if match is not None:
            indent, end = len(match[1]), n + 1
            while end < len(lines) and lines[end].startswith(" " * (indent + 1)):
                end += 1
            body = lines[n + 1 : end]
            lines[n:end] = [line for name in match[2].split(", ") for line in (match[1] + name, *body)]
        n += 1


def setup(app: Any) -> None:
    """Tell Sphinx."""
    app.connect("source-read", _add_contents)
    app.connect("source-read", _unlink_folders)
    app.connect("autodoc-process-docstring", _one_by_one, priority=400)  # before napoleon
