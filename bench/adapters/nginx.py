"""nginx: the practical limit of a proxy that does nothing else.

Taken from PATH, or unpacked from the Debian package without installing it (no root, no service).
"""

import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

from adapters.peer import HOMES, CannotRun, Peer, Running, Site, launch, run_quietly

__all__ = ["PEER", "REPLICAS"]

CONFIGURATION = """\
daemon off;
worker_processes 1;
worker_rlimit_nofile 20000;
pid {folder}/nginx.pid;
error_log stderr error;
events {{ worker_connections 8192; }}
http {{
  access_log off;
  client_body_temp_path {folder}/body;
  proxy_temp_path {folder}/proxy;
  fastcgi_temp_path {folder}/fastcgi;
  uwsgi_temp_path {folder}/uwsgi;
  scgi_temp_path {folder}/scgi;
  keepalive_requests 100000000;
  client_max_body_size 32m;
  client_body_buffer_size 256k;     # a 128 KB prompt stays in memory
  tcp_nodelay on;
  upstream engine {{
    {servers}
    keepalive 256;
    keepalive_requests 100000000;
  }}
  server {{
    listen 127.0.0.1:{port} backlog=4096;
    location / {{
      proxy_pass http://engine;
      proxy_http_version 1.1;
      proxy_set_header Connection "";
      proxy_buffering off;          # what every guide to SSE behind nginx says
      proxy_read_timeout 600s;
    }}
  }}
}}
"""


def install() -> str:
    shown = subprocess.run([_program(), "-v"], capture_output=True, text=True, check=True)
    return shown.stderr.rpartition("/")[2].strip()


def start(site: Site) -> Running:
    return _start(site, [site.upstream])


def start_over_replicas(site: Site) -> Running:
    return _start(site, site.replicas)


def _start(site: Site, upstreams: Sequence[str]) -> Running:
    servers = " ".join(f"server {upstream.removeprefix('http://')};" for upstream in upstreams)
    file = site.folder / "nginx.conf"
    file.write_text(CONFIGURATION.format(folder=site.folder, port=site.port, servers=servers))
    return launch([_program(), "-p", site.folder, "-c", file, "-e", "stderr"], site)


def _program() -> str:
    found = shutil.which("nginx")
    if found:
        return found
    home = HOMES / "nginx"
    program = home / "root" / "usr" / "sbin" / "nginx"
    if not program.exists():
        home.mkdir(parents=True, exist_ok=True)
        _unpack(home)
    return str(program)


def _unpack(home: Path) -> None:
    run_quietly(["apt-get", "download", "nginx"], cwd=home)
    packages = sorted(home.glob("nginx_*.deb"))
    if not packages:
        raise CannotRun("apt-get download nginx left no package; is this Debian?")
    run_quietly(["dpkg", "-x", packages[-1], home / "root"])


PEER = Peer(
    "nginx",
    "1 worker, keep-alive upstream, proxy_buffering off, no access log",
    install,
    start,
)

REPLICAS = Peer(
    "nginx-replicas",
    "the same, over four addresses of the upstream, round robin",
    install,
    start_over_replicas,
)
