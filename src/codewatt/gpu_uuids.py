"""The one form in which codewatt writes the UUIDs of GPUs: NVML's, as `nvidia-smi -L` shows it."""


def nvml_uuid(uuid: object) -> str:
    """A UUID in NVML's form: "GPU-..." or, of a MIG instance, "MIG-...".

    Args:
        uuid: a UUID or the start of one. torch gives it without the prefix.
    """
    text = str(uuid)
    return text if text.startswith(("GPU-", "MIG-")) else f"GPU-{text}"
