from __future__ import annotations

import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from syncer.errors import PairingError
from syncer.trust.certificates import public_key_of
from syncer.trust.token import PREFIX, derive_key, encode, new_token, parse

TOKEN = new_token("ab" * 32)
TEXT = encode(TOKEN)
ALPHABET = string.ascii_letters + string.digits + "-_"


def test_a_token_says_what_it_was_made_of() -> None:
    assert parse(TEXT) == TOKEN
    assert parse(f"\n {TEXT} ") == TOKEN


def test_the_secret_is_shown_by_no_repr() -> None:
    key = derive_key(TOKEN)
    assert repr(TOKEN.secret) not in repr(TOKEN)
    assert TOKEN.secret.hex() not in repr(TOKEN)
    assert b"PRIVATE" in key.key_pem
    assert "PRIVATE" not in repr(key)


@given(st.integers(0, len(TEXT) - len(PREFIX) - 1), st.sampled_from(ALPHABET))
def test_one_wrong_character_is_found(position: int, character: str) -> None:
    at = len(PREFIX) + position
    wrong = TEXT[:at] + character + TEXT[at + 1 :]
    if wrong == TEXT:
        return
    with pytest.raises(PairingError, match="checksum"):
        parse(wrong)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "does not start with"),
        ("syncer2-" + TEXT[8:], "does not start with"),
        (TEXT[:-5], "107 characters .* instead of 112"),
        (TEXT + "A", "113 characters"),
        (TEXT[:-1] + "!", "characters that no token has"),
        (TEXT[:-1] + "é", "characters that no token has"),
        (TEXT[:-1] + "=", "."),
    ],
)
def test_what_is_wrong_with_a_token_is_said_without_repeating_it(text: str, why: str) -> None:
    with pytest.raises(PairingError, match=why) as caught:
        parse(text)
    assert TEXT[20:40] not in str(caught.value)


def test_both_ends_derive_the_same_key() -> None:
    ours, theirs = derive_key(TOKEN), derive_key(parse(TEXT))
    assert ours.public_key == theirs.public_key == public_key_of(theirs.certificate_pem)
    assert public_key_of(ours.root_pem) == ours.public_key
    assert derive_key(new_token("ab" * 32)).public_key != ours.public_key


@given(st.text(max_size=200))
def test_any_text_is_a_token_or_a_pairing_error(text: str) -> None:
    with pytest.raises(PairingError):
        parse(PREFIX + text)
