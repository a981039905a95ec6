"""How Sphinx makes the site: `make docs` stages the pages beside this file and runs it."""

project = "Lamplighter"
html_title = "Lamplighter"
html_theme = "furo"
extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "sphinxcontrib.mermaid"]
root_doc = "index"

myst_fence_as_directive = ["mermaid"]
myst_heading_anchors = 4
# Pages that show other job queues name their blocks `py`, so that only ours are run as tests.
highlight_language = "python"

# The fields of a NamedTuple would be told twice: as its members, and as the Attributes of its docstring.
napoleon_use_ivar = True

autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_default_options = {"members": True, "inherited-members": "Exception,BaseException,tuple,object,Generic,Filter"}
# The defaults of a job's options come from a table, so they stand in no source that Sphinx could quote.
autodoc_preserve_defaults = False
python_use_unqualified_type_names = True
# Docstrings put code between single backticks, as the pages do.
default_role = "code"
