//! The journal key: who has it can tell entries that were written with it from entries that were not.
//!
//! The hash chain alone shows accidents: whoever can write to the store can compute it anew. An HMAC under a key that
//! the store has never seen cannot be computed anew. It does not show that the last entries of a log were taken away,
//! and the sign of life beside a log is not signed: nothing is decided by it.

use std::fmt;

use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;

use super::Flaw;
use super::entry::hex;

/// The least that is taken for a key, in bytes.
pub const KEY_MIN: usize = 32;
/// The most.
pub const KEY_MAX: usize = 4096;

/// A secret that signs entries. It is in no output.
#[derive(Clone)]
pub struct JournalKey(Vec<u8>);

/// Why something is no journal key. The thing itself is not shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("it has {len} bytes, and a journal key has {KEY_MIN} to {KEY_MAX}")]
pub struct BadJournalKey {
    len: usize,
}

impl JournalKey {
    /// A key out of its bytes; line ends around it do not count.
    ///
    /// # Errors
    /// [`BadJournalKey`] of what is too short to be hard to guess, or too long to be meant.
    pub fn new(bytes: &[u8]) -> Result<Self, BadJournalKey> {
        let bytes = bytes.trim_ascii();
        let len = bytes.len();
        if (KEY_MIN..=KEY_MAX).contains(&len) { Ok(Self(bytes.to_vec())) } else { Err(BadJournalKey { len }) }
    }

    fn over(&self, bytes: &[u8]) -> Hmac<Sha256> {
        Hmac::new_from_slice(&self.0).expect("a key of any length makes an HMAC").chain_update(bytes)
    }
}

impl fmt::Debug for JournalKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JournalKey(…)")
    }
}

/// What is done about signatures.
#[derive(Debug, Clone, Default)]
pub struct Signing {
    /// Signs what is written, and proves what is read.
    pub key: Option<JournalKey>,
    /// Whether a log that began without a key is read all the same, though there is one.
    pub allow_unsigned: bool,
}

impl Signing {
    /// Whether a new log is signed.
    pub(super) fn signs(&self) -> bool {
        self.key.is_some()
    }

    /// The HMAC of some bytes, as 64 hexadecimal digits; none without a key.
    pub(super) fn mac(&self, bytes: &[u8]) -> Option<String> {
        self.key.as_ref().map(|key| hex(&key.over(bytes).finalize().into_bytes()))
    }

    /// Whether bytes may be believed with this signature, or without any. Without a key they may: nobody can tell.
    pub(super) fn accept(&self, bytes: &[u8], mac: Option<&str>) -> Result<(), Flaw> {
        let Some(key) = &self.key else { return Ok(()) };
        match mac.map(unhex) {
            Some(Some(mac)) if key.over(bytes).verify_slice(&mac).is_ok() => Ok(()),
            Some(_) => Err(Flaw::Forged),
            None if self.allow_unsigned => Ok(()),
            None => Err(Flaw::Unsigned),
        }
    }
}

/// The bytes of 64 hexadecimal digits.
fn unhex(text: &str) -> Option<Vec<u8>> {
    if text.len() != 64 {
        return None;
    }
    let digit = |byte: &u8| char::from(*byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    text.as_bytes().chunks(2).map(|pair| Some(digit(&pair[0])? << 4 | digit(&pair[1])?)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_hmac_is_the_one_of_rfc_4231() {
        // Its second test case has a key of 4 bytes, which is too short to be ours.
        let signing = Signing { key: Some(JournalKey(b"Jefe".to_vec())), allow_unsigned: false };
        let expected = "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843";
        assert_eq!(signing.mac(b"what do ya want for nothing?").unwrap(), expected);
    }

    #[test]
    fn a_key_is_long_enough_and_never_shown() {
        let key = JournalKey::new(b"0123456789abcdef0123456789abcdef\r\n").unwrap();
        assert_eq!(key.0.len(), 32);
        assert!(!format!("{key:?}").contains("0123"));
        for bad in [&b""[..], b"short", &[b' '; 64], &[b'x'; KEY_MAX + 1]] {
            assert!(JournalKey::new(bad).is_err());
        }
    }
}
