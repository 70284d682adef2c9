"""The documentation site: `make docs` builds it into build/docs.

Sphinx reads from the repository's root, so that a link between pages, notebooks and files is the
same here and where the repository is browsed. docs/site/ has what only the site needs.
"""

from __future__ import annotations

import re
import sys
from importlib import metadata
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
ROOT = HERE.parent
READ = ("docs", "examples", "CHANGELOG.md", "CONTRIBUTING.md")  # of what lies in the root
ELSEWHERE = re.compile(r'<(?:script|link|img|iframe)\b[^>]*(?:src|href)="(?:https?:)?//')
REST = "docs/site/rest"  # the page that is completed from the OpenAPI document

sys.path[:0] = [str(ROOT), str(HERE)]

project = "Ridgeway"
author = "Ridgeway's authors"
project_copyright = "Ridgeway's authors, Apache-2.0"
version = release = metadata.version("ridgeway")

extensions = ["myst_nb", "sphinx.ext.autodoc", "sphinx_click", "sphinx_design"]
root_doc = "docs/index"
include_patterns = ["docs/**", "examples/notebooks/*", "CHANGELOG.md", "CONTRIBUTING.md"]
# Not even walked through: environments, builds, data.
exclude_patterns = [each.name for each in ROOT.iterdir() if each.name not in READ]
templates_path = ["_templates"]

myst_heading_anchors = 4
myst_enable_extensions = ["colon_fence"]
smartquotes = False  # quotes in types are JSON's
nb_execution_mode = "off"  # the tests run the notebooks

default_role = "code"  # docstrings write `name` as Markdown does
autodoc_member_order = "bysource"
autodoc_typehints_format = "short"

html_theme = "pydata_sphinx_theme"
html_title = "Ridgeway"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_copy_source = False
html_show_sourcelink = False
html_additional_pages = {"index": "forward.html"}
# Of sections that are one page.
html_sidebars = {"docs/site/quickstart": [], "CHANGELOG": []}
html_theme_options = {
    "header_links_before_dropdown": 7,
    "navbar_align": "left",
    "footer_start": ["copyright"],
    "footer_end": [],
    "show_toc_level": 2,
}


def setup(app: Any) -> None:
    """Add what no setting says: the REST calls, and diagrams shown as their text."""
    from pygments.lexers.special import TextLexer

    app.add_lexer("mermaid", TextLexer)
    app.connect("builder-inited", _describe_calls)
    app.connect("build-finished", _stay_at_home)


def _describe_calls(app: Any) -> None:
    """Append the calls of the service to the page about them, whenever it is read.

    The service is loaded before autodoc runs, under which its imports fail.
    """
    from rest_page import rest_page

    calls = rest_page()

    def complete(app: Any, page: str, source: list[str]) -> None:
        if page == REST:
            source[0] += calls

    app.connect("source-read", complete)


def _stay_at_home(app: Any, exception: Exception | None) -> None:
    """Warn, and so fail `make docs`, of pages that would fetch something from another host."""
    from sphinx.util.logging import getLogger

    for page in sorted(Path(app.outdir).rglob("*.html")):
        if found := ELSEWHERE.search(page.read_text()):
            getLogger(__name__).warning("%s would fetch from elsewhere: %s", page, found[0])
