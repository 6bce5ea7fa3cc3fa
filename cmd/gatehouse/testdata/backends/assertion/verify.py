"""Reads assertions from standard input, a line each, and prints whose they are."""

import os
import sys

JWKS_URL = os.environ["JWKS_URL"]

# docs:assertion-python:begin
import jwt  # PyJWT, with cryptography

KEYS = jwt.PyJWKClient(JWKS_URL, lifespan=300)


def claims_of(assertion):
    """Who the gateway says the user is; an exception for what it did not say."""
    if jwt.get_unverified_header(assertion).get("typ") != "gatehouse-assertion+jwt":
        raise jwt.InvalidTokenError("not an assertion")
    key = KEYS.get_signing_key_from_jwt(assertion).key
    return jwt.decode(
        assertion, key, algorithms=["ES256"], audience="app", issuer="gatehouse", options={"require": ["exp", "sub"]}
    )
# docs:assertion-python:end


for line in sys.stdin:
    try:
        claims = claims_of(line.strip())
        print(claims["sub"], claims["username"], ",".join(claims["groups"]), flush=True)
    except jwt.PyJWTError as error:
        print("refused:", error, flush=True)
