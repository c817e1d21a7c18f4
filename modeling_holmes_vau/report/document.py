"""A page that stands alone: its styles and its one script inside, nothing from elsewhere."""

import base64
import hashlib
import html
from importlib import resources


SCRIPTS = {"page": ("curve", "page"), "index": ("index",)}  # of each kind of page, in order


def build_document(title: str, body: str, name: str) -> str:
    """A whole page around a body of HTML.

    The page may run the one script that is written here, and no other: whatever stands in the body.

    Args:
        title (`str`): Of the window; escaped here.
        body (`str`): HTML, escaped before.
        name (`str`): `"page"` or `"index"`: which script, and which styles beside the common ones.
    """
    folder = resources.files(__package__)
    style = "".join((folder / f"{part}.css").read_text(encoding="utf-8") for part in ("common", name))
    script = "".join((folder / f"{part}.js").read_text(encoding="utf-8") for part in SCRIPTS[name])
    return assemble(title, body, name, style, script)


def build_still(title: str, body: str, name: str, style: str) -> str:
    """A whole page without a script, for pages that are laid out elsewhere; `style` comes after the common one."""
    common = (resources.files(__package__) / "common.css").read_text(encoding="utf-8")
    return assemble(title, body, name, common + style, "")


def assemble(title: str, body: str, name: str, style: str, script: str) -> str:
    """The page of [`build_document`] from its parts."""
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode("ascii")
    policy = (
        "default-src 'none'; img-src data:; media-src 'self' file:; style-src 'unsafe-inline'; "
        f"script-src 'sha256-{digest}'"
    )
    return f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="generator" content="{generator(name)}">
<meta http-equiv="Content-Security-Policy" content="{policy}">
<title>{html.escape(title)}</title>
<style>
{style}</style>
</head>
<body>
{body}
<script>{script}</script>
</body>
</html>
"""


def generator(name: str) -> str:
    """What a page says made it, by which it is known again."""
    return f"holmes-vau {name}"
