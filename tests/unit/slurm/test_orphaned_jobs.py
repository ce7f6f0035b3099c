"""Jobs of a killed Snakemake are cancelled before the next start; nobody else's are."""

from codewatt.slurm import orphaned_jobs as module
from codewatt.slurm.orphaned_jobs import cancel_orphaned_jobs


def test_only_this_directorys_jobs_of_the_executor(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(module.time, "sleep", lambda seconds: None)
    queue = {
        "7": ("rule_generate_wildcards_a", tmp_path),
        "8": ("rule_judged", tmp_path),
        "9": ("rule_generate_wildcards_a", tmp_path / "other"),
        "10": ("(null)", tmp_path),
    }
    cancelled: list[str] = []
    rounds = iter(range(10))

    def ask(*command):
        if command[0] == "scancel":
            cancelled.extend(command[1:])
            return ""
        if cancelled and next(rounds) > 1:  # they take a while to go
            for job in cancelled:
                queue.pop(job, None)
        return "".join(f"{job}|{comment}|{where}\n" for job, (comment, where) in queue.items())

    assert cancel_orphaned_jobs(tmp_path, ask) == ["7", "8"]
    assert cancelled == ["7", "8"]
    assert list(queue) == ["9", "10"]
    assert "cancelling 2 Slurm jobs of a killed run: 7 8" in capsys.readouterr().err


def test_nothing_left(tmp_path):
    commands = []
    assert cancel_orphaned_jobs(tmp_path, lambda *command: commands.append(command) or "") == []
    assert [command[0] for command in commands] == ["squeue"]
