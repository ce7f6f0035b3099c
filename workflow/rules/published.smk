# The page on the published studies. It is the same for every study of config/studies.


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
    script:
        "../scripts/published.py"
