"""Signs files with an ed25519 key (RFC 8032) and checks the signatures; needs the package cryptography.

    ssh-keygen -t ed25519 -N "" -f key                 # or: openssl genpkey -algorithm ed25519 -out key
    sign(letter, "key")                                # writes letter.html.sig beside letter.html
    verify(letter, "key.pub")                          # the signer's fingerprint, or DataError

The signature is of the file's bytes. It shows who signed and that nothing changed since, not that the content is true.
"""

from __future__ import annotations

import base64
import hashlib
import json
import os
from pathlib import Path

from data.columns import DataError
from models.store.folders import read_json_or_empty
from results.run.run_folder import UsageError

SUFFIX = ".sig"


def _crypto():
    try:
        from cryptography.hazmat.primitives import serialization
        from cryptography.hazmat.primitives.asymmetric import ed25519
    except ImportError:
        cure = "pip install cryptography"
        raise UsageError(f"--sign_with and --verify_letter need the package cryptography: {cure}") from None
    return serialization, ed25519


def load(path: str):
    """The private key in a PEM or OpenSSH file. Raises UsageError."""
    serialization, ed25519 = _crypto()
    from cryptography.exceptions import UnsupportedAlgorithm

    data = _content(path, "--sign_with")
    key = None
    for read in (serialization.load_pem_private_key, serialization.load_ssh_private_key):
        try:
            key = read(data, password=None)
            break
        except TypeError:
            raise UsageError(f"--sign_with {path}: has a passphrase; give a key without one") from None
        except (ValueError, UnsupportedAlgorithm):  # another format
            continue
    if not isinstance(key, ed25519.Ed25519PrivateKey):
        raise UsageError(f"--sign_with {path}: no ed25519 private key in PEM or OpenSSH format (ssh-keygen -t ed25519)")
    return key


def _content(path: str, flag: str) -> bytes:
    try:
        return Path(os.path.expanduser(path)).read_bytes()
    except OSError as error:
        raise UsageError(f"{flag} {path}: {error.strerror}") from None


def sign(file: Path, key: str) -> Path:
    """Writes the signature of a file beside it; returns its path."""
    serialization, _ = _crypto()
    private, content = load(key), file.read_bytes()
    public = private.public_key().public_bytes(serialization.Encoding.Raw, serialization.PublicFormat.Raw)
    signed = {
        "file": file.name, "sha256": hashlib.sha256(content).hexdigest(), "algorithm": "ed25519",
        "public_key": public.hex(), "signature": base64.b64encode(private.sign(content)).decode("ascii"),
    }  # fmt: skip
    target = file.with_name(file.name + SUFFIX)
    target.write_text(json.dumps(signed, indent=1) + "\n", encoding="utf-8")
    return target


def fingerprint(public: bytes) -> str:
    """The first 128 bits of SHA-256 of a raw public key, in groups of four digits."""
    text = hashlib.sha256(public).hexdigest()[:32]
    return " ".join(text[place : place + 4] for place in range(0, 32, 4))


def verify(file: str | Path, public_key: str | None = None) -> tuple[str, bool]:
    """(fingerprint of the signer's key, whether it is the given `public_key`) of a file with a valid signature.

    Raises DataError for a changed file, a wrong signature or another signer.
    """
    serialization, ed25519 = _crypto()
    from cryptography.exceptions import InvalidSignature

    file = Path(file)
    told = read_json_or_empty(file.with_name(file.name + SUFFIX))
    try:
        content = file.read_bytes()
        raw, signature = bytes.fromhex(told["public_key"]), base64.b64decode(told["signature"], validate=True)
        ed25519.Ed25519PublicKey.from_public_bytes(raw).verify(signature, content)
    except OSError as error:
        raise DataError(f"{file}: {error.strerror}") from None
    except (KeyError, TypeError, ValueError):
        raise DataError(f"{file.name}{SUFFIX}: missing beside {file}, or no signature") from None
    except InvalidSignature:
        raise DataError(f"{file}: the signature does not fit: the file or its signature was changed") from None
    if public_key and raw != _raw(serialization, _content(public_key, "--public_key"), public_key):
        raise DataError(f"{file}: signed with another key ({fingerprint(raw)}) than {public_key}")
    return fingerprint(raw), bool(public_key)


def _raw(serialization, data: bytes, path: str) -> bytes:
    for read in (serialization.load_pem_public_key, serialization.load_ssh_public_key):
        try:
            return read(data).public_bytes(serialization.Encoding.Raw, serialization.PublicFormat.Raw)
        except (ValueError, TypeError):  # another format; another kind of key
            continue
    raise UsageError(f"--public_key {path}: no ed25519 public key in PEM or OpenSSH format")
