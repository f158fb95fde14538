"""Sphinx's settings of the course's web page. `make site` calls pages.py, which gathers the
sources (these files, the notebooks, MathJax, the deck) into one folder and runs Sphinx on it."""

import os
import tomllib
from pathlib import Path

ROOT = Path(os.environ["COURSE_ROOT"])  # set by pages.py: this file is read from a copy
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]

project = "The weight of noise"
author = "The maintainers of The weight of noise"
copyright = f"{author}. Text and figures CC BY 4.0, code MIT"
version = release = PROJECT["version"]
language = "en"

extensions = [
    "myst_nb",
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.napoleon",
    "sphinx.ext.mathjax",
    "plain_docstrings",
]
templates_path = ["_templates"]
exclude_patterns = ["_templates"]
nitpicky = True
default_role = "code"  # `x` in a docstring is code
# Types that the standard library and NumPy document elsewhere; no inventory is fetched.
nitpick_ignore_regex = [("py:.*", r"(?!course_utils\b).*")]

myst_enable_extensions = ["amsmath", "attrs_inline", "colon_fence", "dollarmath"]
myst_heading_anchors = 4
myst_html_meta = {
    "description": "A course on diffusion models in nine live notebooks: from the discrete chain "
    "to its SDE, to the ELBO, and to what a weighting of noise levels means.",
    "property=og:title": "The weight of noise",
    "property=og:description": "Diffusion models, from β_t to weighted ELBOs. Pull the curve.",
}
nb_execution_mode = "off"  # the notebooks are committed executed, and tested so
nb_mime_priority_overrides = [("html", "application/vnd.jupyter.widget-view+json", None)]
nb_code_prompt_show = "Show the solution"
nb_code_prompt_hide = "Hide the solution"

autosummary_generate = True
add_module_names = False
autodoc_member_order = "bysource"
autodoc_typehints = "none"
autodoc_preserve_defaults = True

mathjax_path = "mathjax/tex-chtml.js"  # put into _static by pages.py: nothing comes from afar
mathjax4_config = {
    "loader": {"paths": {"fonts": "[mathjax]/.."}, "load": ["a11y/assistive-mml"]},
    # Long formulas break at a phone's width; what cannot be broken scrolls by itself.
    "output": {"displayOverflow": "linebreak", "linebreaks": {"inline": True}},
    # Screen readers get MathML, which is there at once; spoken formulas would load 4 MB more.
    "options": {
        "menuOptions": {
            "settings": {"enrich": False, "speech": False, "braille": False, "assistiveMml": True}
        }
    },
}

html_theme = "sphinx_book_theme"
html_title = project
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_js_files = [("site.js", {"type": "module"})]
html_favicon = "_static/favicon.svg"
html_extra_path = ["_extra"]
html_use_index = False  # the search finds names
html_domain_indices = False
html_context = {"default_mode": "auto"}  # light or dark, as the reader's machine has it
html_show_sphinx = False
html_theme_options = {
    "show_toc_level": 2,
    "use_download_button": False,
    "use_fullscreen_button": False,
    "navbar_persistent": [],  # the side bar has the search
    "home_page_in_toc": True,
}


def repository():
    """Return the public address, from GitHub's runner or pyproject.toml; None where unknown."""
    if name := os.environ.get("GITHUB_REPOSITORY"):
        return f"{os.environ.get('GITHUB_SERVER_URL', 'https://github.com')}/{name}"
    return PROJECT.get("urls", {}).get("Repository")


if address := repository():
    owner, name = address.removesuffix("/").rsplit("/", 2)[1:]
    html_baseurl = f"https://{owner}.github.io/{name}/"
    myst_html_meta["property=og:image"] = f"{html_baseurl}_static/preview.png"
    html_theme_options |= {
        "repository_url": address,
        "repository_branch": "HEAD",
        "use_repository_button": True,
        "launch_buttons": {
            "binderhub_url": "https://mybinder.org",
            "notebook_interface": "jupyterlab",
        },
    }
    if address.startswith("https://github.com/"):  # Colab opens nothing else
        html_theme_options["launch_buttons"]["colab_url"] = "https://colab.research.google.com"
