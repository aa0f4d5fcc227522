"""`azure-keyvault:VAULT/NAME`: a secret of Azure Key Vault, in its newest version.

Who asks is what azure-identity finds on this machine: its variables, a workload or managed
identity, or the login of `az`. VAULT is the vault's name, or its host in another cloud.
"""

from collections.abc import Mapping

from towplane.parts.extras import load_extra
from towplane.parts.secrets import SecretMissing
from towplane.parts.stores.answers import get_json

__all__ = ["read_secret"]

API_VERSION = "7.4"  # Key Vault REST reference, "Get Secret"


def read_secret(name: str, environ: Mapping[str, str]) -> str:  # noqa: ARG001  # azure-identity does
    """Ask for it; raises SecretMissing or Unsupported."""
    vault, _, secret = name.partition("/")
    where = f"azure-keyvault:{name}"
    host = vault if "." in vault else f"{vault}.vault.azure.net"
    _, _, cloud = host.partition(".")
    identity = load_extra("azure.identity", "azure")
    errors = load_extra("azure.core.exceptions", "azure")
    try:
        token = identity.DefaultAzureCredential().get_token(f"https://{cloud}/.default").token
    except errors.ClientAuthenticationError as error:
        say = str(error.message).partition("\n")[0][:200]
        raise SecretMissing(f"{where}: no login for Azure: {say}") from None
    url = f"https://{host}/secrets/{secret}?api-version={API_VERSION}"
    value = get_json(where, url, {"authorization": f"Bearer {token}"}).get("value")
    if not isinstance(value, str):
        raise SecretMissing(f"{where} has no value")
    return value
