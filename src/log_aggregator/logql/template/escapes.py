"""Escaping for HTML, JavaScript and URLs, and base64, with Go's errors."""

import base64
import re
from urllib.parse import quote_plus

from log_aggregator.logql.template.errors import CallError
from log_aggregator.logql.template.strconv import decode_runes, decode_utf8, encode_utf8, quote

_HTML = re.compile(rb"[\x00\"'&<>]")
_HTML_ESCAPES = {
    b"\x00": "\N{REPLACEMENT CHARACTER}".encode(),
    b'"': b"&#34;",
    b"'": b"&#39;",
    b"&": b"&amp;",
    b"<": b"&lt;",
    b">": b"&gt;",
}
_JS = re.compile(r"[\\'\"<>&=\x00-\x1f]|[^\x00-\x7f]")
_JS_BACKSLASHED = frozenset("\\'\"")
_PERCENT = re.compile(rb"%([0-9a-fA-F]{2})|%.{0,2}", re.DOTALL)
_NOT_BASE64 = re.compile(rb"[^A-Za-z0-9+/\r\n]")


def escape_html(text: bytes) -> bytes:
    return _HTML.sub(lambda found: _HTML_ESCAPES[found.group()], text)


def escape_js(text: bytes) -> bytes:
    """Escape for a JavaScript string."""
    return encode_utf8(_JS.sub(lambda found: _js_escape(found.group()), decode_utf8(text)))


def _js_escape(char: str) -> str:
    if char in _JS_BACKSLASHED:
        return "\\" + char
    if 0xDC80 <= ord(char) <= 0xDCFF:  # a byte that is not UTF-8: U+FFFD can be printed, and so stays
        return char
    if ord(char) >= 0x80 and char.isprintable():
        return char
    return f"\\u{ord(char):04X}"


def escape_query(text: bytes) -> bytes:
    """Escape for a value in the query of a URL."""
    return quote_plus(text, safe="").encode()


def unescape_query(text: bytes) -> bytes:
    """The inverse of `escape_query`; raises CallError at a percent sign without two hexadecimal digits."""
    wrong = next((found for found in _PERCENT.finditer(text) if found[1] is None), None)
    if wrong is not None:
        raise CallError(f"invalid URL escape {decode_utf8(quote(wrong.group()))}")
    return _PERCENT.sub(lambda found: bytes.fromhex(found[1].decode()), text.replace(b"+", b" "))


def decode_base64(text: bytes) -> bytes:
    """Decode, with or without padding; for bad input the result is the text of the error, as in Loki."""
    if len(text) % 4 > 1:
        text += b"=" * (4 - len(text) % 4)
    bad = _bad_base64_at(text)
    if bad is not None:
        return f"illegal base64 data at input byte {bad}".encode()
    digits = re.sub(rb"[\r\n=]", b"", text)
    return base64.b64decode(digits + b"=" * (-len(digits) % 4))


def _bad_base64_at(text: bytes) -> int | None:
    """Where base64 with padding goes wrong; line breaks are ignored everywhere."""
    stop = _NOT_BASE64.search(text)
    end = len(text) if stop is None else stop.start()
    count = len(re.sub(rb"[\r\n]", b"", text[:end]))
    if stop is None:
        return end - count % 4 if count % 4 else None
    if stop.group() != b"=" or count % 4 < 2:
        return end
    at = end + 1
    if count % 4 == 2:
        at = _after_breaks(text, at)
        if at == len(text):
            return at
        if text[at : at + 1] != b"=":
            return at - 1
        at += 1
    at = _after_breaks(text, at)
    return at if at < len(text) else None


def _after_breaks(text: bytes, at: int) -> int:
    while text[at : at + 1] in (b"\r", b"\n"):
        at += 1
    return at


def title(text: bytes) -> bytes:
    """Upper-case the first letter of each word."""
    runes = decode_runes(text)
    after = " " + runes
    return "".join(
        to_title(char) if _separates(before) else char for before, char in zip(after, runes, strict=False)
    ).encode()


def _separates(char: str) -> bool:
    if char.isascii():
        return not (char.isalnum() or char == "_")
    return char.isspace()


def to_title(char: str) -> str:
    titled = char.title()
    return titled if len(titled) == 1 else char


def to_upper(text: bytes) -> bytes:
    """Upper-case character by character: a ß stays."""
    if text.isascii():
        return text.upper()
    return "".join(char.upper() if len(char.upper()) == 1 else to_title(char) for char in decode_runes(text)).encode()


def to_lower(text: bytes) -> bytes:
    """Lower-case character by character, without regard to their neighbours."""
    if text.isascii():
        return text.lower()
    return "".join(char.lower()[0] for char in decode_runes(text)).encode()
