"""Parts of a document that a program writes: what stands between two marks."""

from results import Unreadable


def read(document):
    try:
        return document.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise Unreadable(f"{document} cannot be read: {getattr(error, 'strerror', None) or error}") from error


def placed(text, document, what, marks, lines):
    """The text with these lines between the marks."""
    begin, end = marks
    if text.count(begin) != 1 or text.count(end) != 1 or text.index(begin) > text.index(end):
        raise Unreadable(f"{document} has no place for {what}: it wants one line {begin} and below it one line {end}")
    before, after = text.split(begin)[0], text.split(end)[1]
    return "\n".join([before + begin, "", *lines, "", end + after])


def renewed(document, what, marks, lines):
    """The text of the document now, and with these lines between the marks."""
    text = read(document)
    return text, placed(text, document, what, marks, lines)
