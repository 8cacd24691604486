"""Ed25519 keys: the trainer signs bundles, nodes pin the public half."""

import base64
import os
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
)

from earshot_node.errors import OperatorError


def create_key(path: Path) -> str:
    """Write a new private key (PEM, readable by its owner only) and return its public key as base64.

    Raises:
        OperatorError: `path` exists, or cannot be written.
    """
    key = Ed25519PrivateKey.generate()
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    try:
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as stream:
            stream.write(pem)
    except FileExistsError as error:
        raise OperatorError(f"{path} exists and is not overwritten; name another file") from error
    except OSError as error:
        raise OperatorError(f"cannot write the key {path}: {error.strerror}; name a folder that exists") from error
    return public_key_text(key)


def load_key(path: Path) -> Ed25519PrivateKey:
    """Read a private key.

    Raises:
        OperatorError: missing, damaged, or not an Ed25519 key.
    """
    try:
        key = load_pem_private_key(path.read_bytes(), password=None)
    except OSError as error:
        raise OperatorError(
            f"cannot read the key {path}: {error.strerror}; make one with `trainer-cli key create {path}`"
        ) from error
    except (ValueError, TypeError) as error:
        raise OperatorError(f"{path} is no private key; make one with `trainer-cli key create FILE`") from error
    if not isinstance(key, Ed25519PrivateKey):
        raise OperatorError(f"{path} is not an Ed25519 key; make one with `trainer-cli key create FILE`")
    return key


def public_key_text(key: Ed25519PrivateKey) -> str:
    """Return the public half as nodes write it in `model.trusted_keys`: base64 of 32 bytes."""
    return base64.b64encode(key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)).decode()
