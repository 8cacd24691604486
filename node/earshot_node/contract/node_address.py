"""Where a node's HTTP answers, as it tells its trainer; the proof says that the node itself has told it."""

import hashlib
import hmac
from typing import Final

from pydantic import BaseModel, ConfigDict, Field

HTTP_URL: Final = r"^https?://[^\s/?#@]+(?:/[^\s?#]*)?$"


class NodeAddress(BaseModel):
    """Told in `NodeInfo` by a node that has joined and can be reached.

    Attributes:
        url: without a slash at the end.
        certificate: sha256 of the certificate (DER) that its HTTPS shows, hexadecimal; '' for plain HTTP.
        proof: see `address_proof`; the broker and other nodes cannot make one.
    """

    model_config = ConfigDict(extra="ignore", frozen=True)

    url: str = Field(pattern=HTTP_URL, max_length=300)
    certificate: str = Field(default="", pattern=r"^(?:[0-9a-f]{64})?$")
    proof: str = Field(pattern=r"^[0-9a-f]{64}$")


def address_proof(token: str, node: str, url: str, certificate: str) -> str:
    """Return the HMAC-SHA256 of an address with the token that only the node and its trainer know."""
    told = f"earshot node address 1\n{node}\n{url}\n{certificate}"
    return hmac.new(token.encode(), told.encode(), hashlib.sha256).hexdigest()


def is_proven(address: NodeAddress, token: str, node: str) -> bool:
    """Whether the bearer of the token has told this address."""
    expected = address_proof(token, node, address.url, address.certificate)
    return bool(token) and hmac.compare_digest(expected.encode(), address.proof.encode())
