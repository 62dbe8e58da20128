"""No text becomes markup."""

from components.release import markdown


def test_text_of_a_cell_has_no_markup_and_stays_on_its_line() -> None:
    assert markdown.table(("a", "b"), [("x|y\n<b>", 1234), ("", 0.125)]) == (
        "| a | b |\n| --- | --- |\n| x\\|y \\<b\\> | 1,234 |\n|  | 0.125 |"
    )
    assert markdown.table(("a",), []) == ""


def test_fence_is_longer_than_those_in_the_text() -> None:
    assert markdown.fenced("a ```` b") == "`````text\na ```` b\n`````"
    assert markdown.fenced("plain", "bash") == "```bash\nplain\n```"
