"""The one form in which codewatt writes the UUIDs of GPUs.

NVIDIA: NVML's form, as `nvidia-smi -L` shows it. AMD: that of ROCm's runtime, as `rocminfo` shows
it: "GPU-" and the GPU's 64-bit unique id as 16 hexadecimal digits (HSA_AMD_AGENT_INFO_UUID).
"""

import string


def nvml_uuid(uuid: object) -> str:
    """A UUID in NVML's form: "GPU-..." or, of a MIG instance, "MIG-...".

    Args:
        uuid: a UUID or the start of one. torch gives it without the prefix.
    """
    text = str(uuid)
    return text if text.startswith(("GPU-", "MIG-")) else f"GPU-{text}"


def rocm_uuid(unique_id: int) -> str:
    """The UUID of an AMD GPU from its 64-bit unique id (AMD SMI: `asic_serial`)."""
    return f"GPU-{unique_id:016x}"


def torch_uuid(uuid: object, hip: str | None) -> str:
    """A UUID that torch gives, in the form of NVML or of ROCm's runtime.

    On ROCm the 16 bytes of torch's UUID are the 16 digits of the unique id in ASCII
    (hipDeviceGetUuid copies ROCm's text after "GPU-").

    Args:
        uuid: `uuid` of torch's device properties: 16 bytes as hexadecimal digits and hyphens.
        hip: torch.version.hip; None for CUDA.
    """
    if hip is not None:
        digits = bytes.fromhex(str(uuid).replace("-", "")).decode("ascii", "replace")
        if len(digits) == 16 and set(digits) <= set(string.hexdigits):
            return rocm_uuid(int(digits, 16))
    return nvml_uuid(uuid)
