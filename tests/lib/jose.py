"""Tokens taken apart and forged, to see that they are refused."""
import base64
import hashlib
import hmac
import json
import time

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_private_key


def encode(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def decode(text):
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def parts(token):
    """The header, the claims and the signature of a token."""
    header, claims, signature = token.split(".")
    return json.loads(decode(header)), json.loads(decode(claims)), decode(signature)


def _document(value):
    return value if isinstance(value, bytes) else json.dumps(value, separators=(",", ":")).encode()


def sign(header, claims, key):
    """A compact JWS over exactly these documents (dicts, or bytes as they are). `key` signs: an Ed25519 key, bytes for
    HMAC-SHA256, or None for no signature at all."""
    text = f"{encode(_document(header))}.{encode(_document(claims))}"
    if key is None:
        signature = b""
    elif isinstance(key, bytes):
        signature = hmac.new(key, text.encode(), hashlib.sha256).digest()
    else:
        signature = key.sign(text.encode())
    return f"{text}.{encode(signature)}"


def private_key(path):
    with open(path, "rb") as file:
        return load_pem_private_key(file.read(), None)


def foreign_key():
    return Ed25519PrivateKey.generate()


def public_pem(key):
    return key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)


def public_raw(key):
    return key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)


def aged(claims, by_s):
    """The claims as they would be of a token that many seconds older."""
    return {**claims, **{name: claims[name] - by_s for name in ("iat", "exp", "nbf") if name in claims}}


def now():
    return int(time.time())
