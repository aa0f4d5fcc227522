"""What an engine inherits from the environment of the plane: what a program and its GPU need.

The law: one document configures the plane, so no variable can change a flag of an engine, and no
credential of the plane reaches it.
"""

from collections.abc import Mapping

__all__ = ["make_environment"]

_NAMES = frozenset(
    ("HOME", "LANG", "LANGUAGE", "LD_LIBRARY_PATH", "PATH", "TMPDIR", "TZ", "XDG_RUNTIME_DIR")
)

# Which devices there are and where their drivers lie.
_PREFIXES = ("CUDA_", "GGML_VK_", "GPU_", "HIP_", "HSA_", "LC_", "NVIDIA_", "ROCR_", "VK_", "ZE_")


def make_environment(inherited: Mapping[str, str], own: Mapping[str, str]) -> dict[str, str]:
    """The environment of an engine: `own` wins; its library path goes before the inherited one."""
    kept = {
        name: value
        for name, value in inherited.items()
        if name in _NAMES or name.startswith(_PREFIXES)
    }
    merged = kept | dict(own)
    paths = [mapping.get("LD_LIBRARY_PATH") for mapping in (own, kept)]
    if known := [path for path in paths if path]:
        merged["LD_LIBRARY_PATH"] = ":".join(dict.fromkeys(known))
    return merged
