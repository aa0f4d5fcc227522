"""`host:port`, taken apart and judged; no socket is opened and no name is looked up."""

__all__ = ["is_loopback", "join_address", "split_address"]


def split_address(address: str) -> tuple[str, int]:
    """`host:port` as its two parts, an IPv6 host without its brackets."""
    host, _, port = address.rpartition(":")
    return host.removeprefix("[").removesuffix("]"), int(port)


def join_address(host: str, port: int) -> str:
    """The two parts as `host:port`, an IPv6 host in brackets."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def is_loopback(address: str) -> bool:
    """Whether only this machine can reach `host:port`."""
    host, _ = split_address(address)
    if host in ("localhost", "127.0.0.1", "::1"):
        return True
    import ipaddress

    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
