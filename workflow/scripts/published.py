"""Write the page on the published studies."""

from pathlib import Path

from codewatt.logs import rule_log
from codewatt.published.page.write_page import write_page

with rule_log(snakemake):
    page = Path(snakemake.output.page)
    write_page(page.parent, page.parents[1])
