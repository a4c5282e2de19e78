"""Parts of a document that a program writes: what stands between two marks."""

from results import Unreadable


def renewed(document, what, marks, lines):
    """The text of the document now, and with these lines between the marks."""
    try:
        text = document.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise Unreadable(f"{document} cannot be read: {getattr(error, 'strerror', None) or error}") from error
    begin, end = marks
    if text.count(begin) != 1 or text.count(end) != 1 or text.index(begin) > text.index(end):
        raise Unreadable(f"{document} has no place for {what}: it wants one line {begin} and below it one line {end}")
    before, after = text.split(begin)[0], text.split(end)[1]
    return text, "\n".join([before + begin, "", *lines, "", end + after])
