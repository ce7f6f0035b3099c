# The page on the published studies. It is the same for every study of config/studies. It shows what
# study files measured that were run, and is made again if a cell table of theirs changes. The tables
# are no input, so that the page never starts a study.


rule published:
    input:
        data=published_data,
    output:
        page=paths.published(),
    log:
        paths.log("published"),
    conda:
        "../../envs/codewatt.yaml"
    threads: 1
    resources:
        **cpu_node_resources(),
    params:
        code=code("published"),
        measured=lambda wildcards: table_digests(paths.root.parent),
    script:
        "../scripts/published.py"
