"""`aws-secretsmanager:NAME` or `aws-secretsmanager:NAME#KEY`: AWS Secrets Manager, by botocore.

NAME is a name or an ARN; the region is the ARN's, else what the AWS configuration says, and so is
the login. With KEY the secret is a JSON object and this is one of its values.
"""

import base64
from collections.abc import Mapping

from towplane.parts.extras import load_extra
from towplane.parts.secrets import SecretMissing
from towplane.parts.stores.answers import pick_key

__all__ = ["read_secret"]


def read_secret(name: str, environ: Mapping[str, str]) -> str:  # noqa: ARG001  # botocore reads it
    """Ask for it; raises SecretMissing or Unsupported."""
    secret, _, key = name.partition("#")
    where = f"aws-secretsmanager:{secret}"
    botocore = load_extra("botocore.session", "bedrock")
    errors = load_extra("botocore.exceptions", "bedrock")
    region = secret.split(":")[3] if secret.count(":") >= 6 else None
    try:
        client = botocore.Session().create_client("secretsmanager", region_name=region)
        answer = client.get_secret_value(SecretId=secret)
    except errors.ClientError as error:
        code = error.response.get("Error", {}).get("Code", "an error")
        raise SecretMissing(
            f"{where}: the store answered {code}",
            next_step="check its name and region, and that secretsmanager:GetSecretValue is "
            "allowed",
        ) from None
    except errors.BotoCoreError as error:
        raise SecretMissing(f"{where}: {error}") from None
    text = answer.get("SecretString")
    if text is None:
        text = base64.b64encode(answer.get("SecretBinary", b"")).decode()
    return pick_key(where, text, key) if key else str(text)
