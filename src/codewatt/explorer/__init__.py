"""The explorer: one HTML page with a study's tables in it, which works without a network.

`build_explorer` writes the page, `column_views` says what the page knows of each column,
`page_assets` puts the page's scripts into it. `page/` has the scripts and the style of the page,
`vendor/` the library that reads Parquet in a browser.
"""
