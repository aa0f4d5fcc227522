"""The gateways under test, a file each; every file has `PEER` and reads alike."""

from adapters import bifrost, direct, litellm, nginx, portkey, smg, towplane, vllm_router
from adapters.peer import Peer

__all__ = ["PEERS", "Peer"]

PEERS: dict[str, Peer] = {
    peer.name: peer
    for peer in (
        direct.PEER,
        nginx.PEER,
        nginx.REPLICAS,
        towplane.PEER,
        towplane.PREFIX,
        towplane.BY_OPENING,
        towplane.SOURCE,
        vllm_router.PEER,
        vllm_router.REPLICAS,
        vllm_router.ROUND_ROBIN,
        smg.PEER,
        portkey.PEER,
        litellm.PEER,
        bifrost.PEER,
    )
}
