"""Paths as Go's routers want them."""

from posixpath import normpath
from urllib.parse import quote, unquote

_PLAIN = "/:@!$&'()*+,;=~"  # what a path may have beside letters, digits and -._


def clean_url(raw: bytes) -> str:
    """The URL with its path clean, without empty segments and dots; "" if it is that already, or no path."""
    path, question, query = raw.decode("latin-1").partition("?")
    path = unquote(path)
    # Of POSIX, two slashes at the beginning would stay.
    clean = normpath("/" + path.lstrip("/"))
    if path.endswith("/") and clean != "/":
        clean += "/"
    if not path.startswith("/") or clean == path:
        return ""
    return quote(clean, safe=_PLAIN) + question + query
