"""What Snakemake says of a study's files is read as it is, and unfinished results are named."""

from dataclasses import replace

import pytest

from codewatt.errors import CodewattError
from codewatt.replication.workflow_files import (
    WorkflowFile,
    parse_summary,
    refuse_unfinished,
)

HEADER = "output_file\tdate\trule\tlog-file(s)\tinput-file(s)\tshellcmd\tstatus\tplan"
DONE = "r/cells/a/energy.json\tMon\tmeasure_energy\tl\tr/a,r/b\t-\tok\tno update"
UNKNOWN = "r/models/m/manifest.json\tMon\ttrain_nano\t-\t-\t-\tok\tno update"
STALE = "r/tables/cell.csv\tMon\taggregate\tl\tr/a\t-\tparams changed\tupdate pending"
MISSING = "r/tables/run.csv\t-\taggregate\t-\t-\t-\tmissing\tupdate pending"


def test_each_line_is_a_file() -> None:
    done, unknown, stale, missing = parse_summary(
        "\n".join(["a note", HEADER, DONE, UNKNOWN, STALE, MISSING, ""])
    )
    assert done == WorkflowFile("r/cells/a/energy.json", "measure_energy", ("r/a", "r/b"))
    assert unknown == WorkflowFile("r/models/m/manifest.json", "train_nano", known=False)
    assert (stale.status, stale.up_to_date, stale.known) == ("params changed", False, True)
    assert (missing.status, missing.up_to_date) == ("missing", False)


def test_other_columns_are_refused() -> None:
    with pytest.raises(CodewattError, match="other columns"):
        parse_summary("output_file\tdate\n")


def test_a_cause_is_named_before_what_follows_from_it() -> None:
    follows = [DONE.replace("no update", "update pending")] * 5
    with pytest.raises(CodewattError, match=r"6 of 6 .* stale: r/tables/cell.csv \(params"):
        refuse_unfinished(parse_summary("\n".join([HEADER, *follows, STALE])), "r")


def test_a_missing_file_counts_even_if_nothing_after_it_is_stale() -> None:
    """Snakemake starts no job for it: the files that were made of it are there."""
    missing = DONE.replace("\tok\t", "\tmissing\t")
    with pytest.raises(CodewattError, match=r"1 of 2 .* r/cells/a/energy.json \(missing\)"):
        refuse_unfinished(parse_summary("\n".join([HEADER, missing, UNKNOWN])), "r")


def test_finished_results_pass() -> None:
    refuse_unfinished(parse_summary("\n".join([HEADER, DONE, UNKNOWN])), "r")


def test_stale_and_missing_files_are_named_with_their_rules() -> None:
    files = parse_summary("\n".join([HEADER, DONE, STALE, MISSING]))
    with pytest.raises(CodewattError) as raised:
        refuse_unfinished(files, "r")
    assert str(raised.value) == (
        "r: 2 of 3 files are missing or stale: r/tables/cell.csv (params changed), "
        "r/tables/run.csv (missing); allowed: a finished study; run Snakemake (rules aggregate)"
    )


def test_many_files_are_counted() -> None:
    (missing,) = parse_summary("\n".join([HEADER, MISSING]))
    files = [replace(missing, path=f"r/{n}") for n in range(10)]
    with pytest.raises(CodewattError, match=r"r/2 \(missing\) and 7 more; allowed"):
        refuse_unfinished(files, "r")


def test_results_without_a_record_are_refused() -> None:
    with pytest.raises(CodewattError, match="no record in"):
        refuse_unfinished(parse_summary("\n".join([HEADER, UNKNOWN])), "r")


def test_without_a_record_nothing_is_called_stale() -> None:
    """Modification times alone make files of a copied study look stale; the record is the cause."""
    stale = UNKNOWN.replace("no update", "update pending")
    with pytest.raises(CodewattError, match="no record in"):
        refuse_unfinished(parse_summary("\n".join([HEADER, UNKNOWN, stale, MISSING])), "r")


def test_a_study_that_never_ran_is_missing_rather_than_unknown() -> None:
    with pytest.raises(CodewattError, match="1 of 1 files are missing"):
        refuse_unfinished(parse_summary("\n".join([HEADER, MISSING])), "r")
