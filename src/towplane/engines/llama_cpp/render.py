"""llama.cpp: from a wish to the command line of `llama-server`. Pure."""

from towplane.engines.adapter import Command, Launch

__all__ = ["render"]


def render(launch: Launch) -> Command:
    """The command; the same launch gives the same one."""
    spec, binary = launch.spec, launch.binary
    argv = (
        str(binary.path),
        "--model", str(launch.weights.path),
        "--alias", launch.name,
        "--host", "127.0.0.1",
        "--port", str(launch.port),
        "--ctx-size", str(spec.context),
        "--parallel", str(spec.parallel),
        "--threads", str(spec.threads),
        "--jinja",
        "--metrics",
        "--slots",
        "--no-ui",
        "--offline",  # weights come from the document alone
    )  # fmt: skip
    # By the environment: `ps` shows arguments to every user of the machine.
    env = {"LLAMA_API_KEY": launch.api_key}
    if binary.library_path is not None:
        env["LD_LIBRARY_PATH"] = str(binary.library_path)
    return Command(argv=argv, env=env)
