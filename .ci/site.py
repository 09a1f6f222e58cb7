"""Gives the site what is no page in docs/: those at the root of the repository, and the reference."""

import re
from importlib import import_module
from pathlib import Path

from mkdocs.structure.files import File

ROOT = Path(__file__).parents[1]
AT_ROOT = {
    f"{name}.md": f"{name.lower()}.md"
    for name in ("README", "CHANGELOG", "CONTRIBUTING", "SECURITY")
}
LINK = re.compile(r"\]\(([^)#\s:]+)(#[^)\s]*)?\)")
REFERENCE = (
    "scallion", "scallion.middlewares", "scallion.providers", "scallion.types", "scallion.exceptions",
    "scallion.costs", "scallion.tokens", "scallion.stores", "scallion.testing", "scallion.router",
    "scallion.compat",
)  # fmt: skip


def on_files(files, config):
    for source, page in AT_ROOT.items():
        text = (ROOT / source).read_text("utf-8")
        files.append(File.generated(config, page, content=LINK.sub(in_the_site, text)))
    for module in REFERENCE:
        names = sorted(import_module(module).__all__, key=str.lower)
        parts = [f"# {module}", *[f"::: {module}.{name}" for name in names]]
        page = f"reference/{module.replace('.', '_')}.md"
        files.append(File.generated(config, page, content="\n\n".join(parts)))
    return files


def on_page_markdown(markdown, page, config, files):
    if page.file.src_uri in AT_ROOT.values():
        return markdown
    return re.sub(
        r"\]\(\.\./(\w+\.md)", lambda link: f"]({AT_ROOT.get(link[1], link[1])}", markdown
    )


def in_the_site(link):
    """A link in a page of the root, as it is from a page of docs/."""
    target, anchor = link[1], link[2] or ""
    if target in AT_ROOT:
        return f"]({AT_ROOT[target]}{anchor})"
    if target.startswith("docs/"):
        return f"]({target.removeprefix('docs/')}{anchor})"
    return f"]({anchor or '#'})"  # a file of the repository that is not part of the site
