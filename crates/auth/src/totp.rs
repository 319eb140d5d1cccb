//! Codes of authenticator apps (RFC 6238): SHA-1, six digits, 30 seconds, which is what all of them
//! speak.

use ring::hmac;
use subtle::ConstantTimeEq as _;
use zeroize::Zeroizing;

use crate::random::random_secret_bytes;

/// Bytes of a secret: as many as the hash has, as RFC 4226 recommends.
pub const TOTP_SECRET_LEN: usize = 20;

/// Seconds for which a code stands.
pub const TOTP_STEP_SECONDS: u64 = 30;

/// How many steps a clock may be off, either way.
const DRIFT: u64 = 1;

const DIGITS: usize = 6;

/// What an authenticator app and Keyward share. Wiped when dropped.
#[derive(Clone)]
pub struct TotpSecret(Zeroizing<[u8; TOTP_SECRET_LEN]>);

impl std::fmt::Debug for TotpSecret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("[secret]")
    }
}

impl TotpSecret {
    /// A new random secret.
    #[must_use]
    pub fn generate() -> Self {
        Self(random_secret_bytes())
    }

    /// The secret with these bytes, as [`TotpSecret::expose`] gave them.
    #[must_use]
    pub fn new(bytes: &[u8]) -> Option<Self> {
        Some(Self(Zeroizing::new(bytes.try_into().ok()?)))
    }

    /// The secret itself: to be sealed.
    #[must_use]
    pub fn expose(&self) -> &[u8] {
        &*self.0
    }

    /// As people type it into an app: RFC 4648 base 32, 32 letters.
    #[must_use]
    pub fn base32(&self) -> Zeroizing<String> {
        const LETTERS: &[u8; 32] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
        let mut text = String::with_capacity(TOTP_SECRET_LEN * 8 / 5);
        let (mut bits, mut held) = (0_u32, 0_u32);
        for byte in &*self.0 {
            held = held << 8 | u32::from(*byte);
            bits += 8;
            while bits >= 5 {
                bits -= 5;
                text.push(char::from(LETTERS[(held >> bits & 31) as usize]));
            }
        }
        Zeroizing::new(text)
    }

    /// What an app reads out of a QR code (the `otpauth` form of Google Authenticator).
    #[must_use]
    pub fn uri(&self, issuer: &str, account: &str) -> Zeroizing<String> {
        let (issuer, account) = (percent(issuer), percent(account));
        let secret = self.base32();
        Zeroizing::new(format!(
            "otpauth://totp/{issuer}:{account}?secret={}&issuer={issuer}",
            *secret
        ))
    }

    /// The code of a step.
    fn code(&self, step: u64) -> [u8; DIGITS] {
        let key = hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, self.expose());
        let tag = hmac::sign(&key, &step.to_be_bytes());
        let tag = tag.as_ref();
        let at = usize::from(tag[19] & 15);
        let word = u32::from_be_bytes([tag[at], tag[at + 1], tag[at + 2], tag[at + 3]]);
        let mut rest = (word & 0x7FFF_FFFF) % 1_000_000;
        let mut digits = [b'0'; DIGITS];
        for digit in digits.iter_mut().rev() {
            *digit = b'0' + u8::try_from(rest % 10).unwrap_or_default();
            rest /= 10;
        }
        digits
    }

    /// The step whose code this is, now or one step before or after, if it is later than
    /// `last_used`: a code is taken once. Blanks in the code are left out.
    #[must_use]
    pub fn verify(&self, code: &str, unix_seconds: u64, last_used: Option<u64>) -> Option<u64> {
        let mut given = [0_u8; DIGITS];
        let mut count = 0;
        for byte in code.bytes().filter(|b| *b != b' ') {
            *given.get_mut(count)? = byte;
            count += 1;
        }
        if count != DIGITS {
            return None;
        }
        let now = unix_seconds / TOTP_STEP_SECONDS;
        let mut found = None;
        for step in now.saturating_sub(DRIFT)..=now + DRIFT {
            let matches = bool::from(self.code(step).ct_eq(&given));
            if matches && last_used.is_none_or(|last| step > last) {
                found = Some(step);
            }
        }
        found
    }
}

fn percent(text: &str) -> String {
    use std::fmt::Write as _;
    text.bytes().fold(String::new(), |mut out, byte| {
        if byte.is_ascii_alphanumeric() || b"-._~@".contains(&byte) {
            out.push(char::from(byte));
        } else {
            let _ = write!(out, "%{byte:02X}"); // writing into a string cannot fail
        }
        out
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rfc() -> TotpSecret {
        TotpSecret::new(b"12345678901234567890").unwrap()
    }

    #[test]
    fn codes_of_rfc_6238() {
        // Appendix B has eight digits; the last six are the code of six.
        let cases = [
            (59, "287082"),
            (1_111_111_109, "081804"),
            (1_111_111_111, "050471"),
            (1_234_567_890, "005924"),
            (2_000_000_000, "279037"),
            (20_000_000_000, "353130"),
        ];
        for (at, code) in cases {
            assert_eq!(rfc().verify(code, at, None), Some(at / 30), "{at}");
        }
        assert_eq!(rfc().verify("287 082", 59, None), Some(1), "with a blank");
    }

    #[test]
    fn a_code_is_taken_once_and_near_its_time() {
        let secret = rfc();
        let cases = [
            (59, None, true),
            (29, None, true),
            (89, None, true),
            (90, None, false),
            (119, None, false),
            (59, Some(0), true),
            (59, Some(1), false),
            (89, Some(2), false),
        ];
        for (at, last, expected) in cases {
            let found = secret.verify("287082", at, last);
            assert_eq!(found.is_some(), expected, "at {at}, last {last:?}");
        }
    }

    #[test]
    fn what_is_no_code() {
        for code in ["", "28708", "2870822", "28708a", "２８７０８２", "      "] {
            assert_eq!(rfc().verify(code, 59, None), None, "{code:?}");
        }
    }

    #[test]
    fn for_apps() {
        assert_eq!(*rfc().base32(), "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ");
        assert_eq!(
            *rfc().uri("Key ward", "a:b@example.com"),
            "otpauth://totp/Key%20ward:a%3Ab@example.com?secret=GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ&issuer=Key%20ward"
        );
        assert_eq!(format!("{:?}", rfc()), "[secret]");
    }
}
