"""Generated pages are those of the code."""

from codewatt.cli import command_parser
from codewatt.cli_reference import command_line_page


def test_the_command_line_page_is_that_of_the_parser(repository):
    """On failure: make reference."""
    page = repository / "docs" / "reference" / "command-line.md"
    assert page.read_text() == command_line_page(command_parser())
