"""What can be wrong with the section `discover` of a provider. Pure, as `document.check_providers`,
which composes it."""

import re
from collections.abc import Iterator
from urllib.parse import urlsplit

from towplane.document.finding import Finding, say_name
from towplane.document.problems import Place
from towplane.parts.addresses import is_loopback, split_address
from towplane.providers.discover import ConsulSource, Discover, KubernetesSource
from towplane.providers.spec import OpenAICompatibleSpec

__all__ = ["check_discover"]

_SOURCES = ("dns", "srv", "consul", "kubernetes")
_HOST = re.compile(r"(?=.{1,253}\.?$)([A-Za-z0-9_]([A-Za-z0-9_-]{0,61}[A-Za-z0-9])?\.?)+", re.ASCII)
_LABEL = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?", re.ASCII)
"""RFC 1123, as Kubernetes names services and namespaces."""
_SUBDOMAIN = re.compile(r"(?=.{1,253}$)[a-z0-9]([a-z0-9.-]*[a-z0-9])?", re.ASCII)


def check_discover(place: Place, provider: OpenAICompatibleSpec) -> Iterator[Finding]:
    """Findings within one section, and with what stands beside it."""
    spec = provider.discover
    if spec is None:
        return
    here = (*place, "discover")
    given = [name for name in _SOURCES if getattr(spec, name) is not None]
    if len(given) != 1:
        yield Finding(
            place=here,
            what="not one source of addresses",
            expected=f"exactly one of {', '.join(_SOURCES)}",
            found=" and ".join(given) or "none",
        )
        return
    if provider.egress.address is not None:
        what = "one pinned address, beside a source of many"
        expected = "either egress.address or discover"
        yield Finding(place=(*place, "egress", "address"), what=what, expected=expected)
    if provider.provisioned:
        what = "capacity by the hour is bought at one address, not at many"
        yield Finding(place=(*place, "provisioned"), what=what, expected="no discover beside it")
    yield from _check_keys(here, spec, given[0])
    if spec.consul is not None:
        yield from _check_consul((*here, "consul"), spec.consul)
    if spec.kubernetes is not None:
        yield from _check_kubernetes((*here, "kubernetes"), spec.kubernetes)


def _check_keys(here: Place, spec: Discover, source: str) -> Iterator[Finding]:
    """Keys that the source does not look at, and names that are none."""
    is_dns = source in ("dns", "srv")
    if spec.port is not None and source != "dns":
        knows = {"srv": "SRV records", "consul": "Consul"}.get(source, "kubernetes.port")
        what = "only looked at with dns"
        yield Finding(place=(*here, "port"), what=what, expected=f"none: {knows} says the port")
    elif spec.port is not None and spec.port > 65535:
        yield Finding(place=(*here, "port"), what="not a port", expected="a number up to 65535")
    if spec.server is not None and not is_dns:
        what, expected = "no DNS server is asked", "it with dns or srv alone"
        yield Finding(place=(*here, "server"), what=what, expected=expected)
    elif spec.server is not None and not _is_ip(split_address(spec.server)[0]):
        what, expected = "not an IP address", "such as 127.0.0.1:8600: no name is looked up for it"
        yield Finding(
            place=(*here, "server"), what=what, expected=expected, found=say_name(spec.server)
        )
    if spec.every_s != 10.0 and not is_dns:
        yield Finding(
            place=(*here, "every"),
            what=f"{source} says by itself when something changes",
            expected="no such key",
            severity="warning",
        )
    if is_dns:
        name = spec.dns if spec.dns is not None else spec.srv or ""
        if not _HOST.fullmatch(name):
            where = (*here, source)
            yield Finding(place=where, what="not a name in DNS", found=say_name(name))
        elif source == "srv" and not name.startswith("_"):
            yield Finding(
                place=(*here, "srv"),
                what="not the name of a service in DNS",
                expected=f"such as _http._tcp.{name}",
                found=say_name(name),
                severity="warning",  # Consul's DNS answers SRV for vllm.service.consul too
            )


def _check_consul(here: Place, spec: ConsulSource) -> Iterator[Finding]:
    for key, value in (
        ("service", spec.service),
        ("tag", spec.tag),
        ("datacenter", spec.datacenter),
    ):
        if value == "":
            yield Finding(place=(*here, key), what="an empty name")
    if spec.ca is not None and spec.address.startswith("http:"):
        what, expected = "no TLS, so no authority is asked for", "an https address"
        yield Finding(place=(*here, "ca"), what=what, expected=expected)
    if spec.token is not None and spec.address.startswith("http:") and not _is_local(spec.address):
        yield Finding(
            place=(*here, "address"),
            what="the token would travel unencrypted",
            expected="https",
            severity="warning",
        )


def _check_kubernetes(here: Place, spec: KubernetesSource) -> Iterator[Finding]:
    if (spec.service is None) == (spec.inference_pool is None):
        expected = "exactly one of service and inference_pool"
        found = "neither" if spec.service is None else "both"
        yield Finding(place=here, what="not one thing to watch", expected=expected, found=found)
        return
    for key, value, pattern in (
        ("service", spec.service, _LABEL),
        ("inference_pool", spec.inference_pool, _SUBDOMAIN),
        ("namespace", spec.namespace, _LABEL),
    ):
        if value is not None and not pattern.fullmatch(value):
            what = "not a name in Kubernetes"
            expected = "lower-case letters, digits and -, at most 63"
            yield Finding(place=(*here, key), what=what, expected=expected, found=say_name(value))
    if spec.port is not None and spec.inference_pool is not None:
        what, expected = "an InferencePool has its own target ports", "no such key"
        yield Finding(place=(*here, "port"), what=what, expected=expected)
    if spec.port == "":
        yield Finding(place=(*here, "port"), what="an empty name")


def _is_ip(host: str) -> bool:
    import ipaddress

    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def _is_local(url: str) -> bool:
    return is_loopback(f"{urlsplit(url).hostname or ''}:0")
