//! The first word of a reply, looked at while the reply passes.

/// Bytes that suffice to tell `*4\r\n$12\r\npunsubscribe` from everything else.
const LEN: usize = 40;

/// Beginning of a reply that may be a message of a subscription.
#[derive(Debug)]
pub(crate) struct Head {
    bytes: [u8; LEN],
    len: u8,
}

impl Default for Head {
    fn default() -> Self {
        Self {
            bytes: [0; LEN],
            len: 0,
        }
    }
}

impl Head {
    pub(crate) fn clear(&mut self) {
        self.len = 0;
    }

    /// Adds the next bytes of the reply; what goes beyond the head is not kept.
    pub(crate) fn push(&mut self, bytes: &[u8]) {
        let at = usize::from(self.len);
        let take = bytes.len().min(LEN - at);
        self.bytes[at..at + take].copy_from_slice(&bytes[..take]);
        self.len += take as u8; // at most LEN
    }

    /// Whether the reply is a message of a subscription.
    pub(crate) fn is_message(&self) -> bool {
        matches!(self.word(), Some(b"message" | b"pmessage" | b"smessage"))
    }

    /// Whether the reply confirms a subscription or the end of one.
    pub(crate) fn is_confirmation(&self) -> bool {
        matches!(
            self.word(),
            Some(
                b"subscribe"
                    | b"unsubscribe"
                    | b"psubscribe"
                    | b"punsubscribe"
                    | b"ssubscribe"
                    | b"sunsubscribe"
            )
        )
    }

    /// The first element of an aggregate, if it is a short string.
    fn word(&self) -> Option<&[u8]> {
        let bytes = &self.bytes[..usize::from(self.len)];
        let first = after_line(bytes)?;
        match first.first()? {
            b'$' => {
                let word = after_line(first)?;
                let header = &first[1..first.len() - word.len() - 2];
                let len: usize = std::str::from_utf8(header).ok()?.parse().ok()?;
                word.get(..len)
            }
            b'+' => {
                let rest = after_line(first)?;
                Some(&first[1..first.len() - rest.len() - 2])
            }
            _ => None,
        }
    }
}

fn after_line(bytes: &[u8]) -> Option<&[u8]> {
    let at = bytes.windows(2).position(|pair| pair == b"\r\n")?;
    Some(&bytes[at + 2..])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tells_messages_and_confirmations_from_other_replies() {
        let cases: [(&[u8], bool, bool); 8] = [
            (
                b"*3\r\n$7\r\nmessage\r\n$1\r\nc\r\n$1\r\nm\r\n",
                true,
                false,
            ),
            (b"*4\r\n$8\r\npmessage\r\n$1\r\np\r\n", true, false),
            (b"*3\r\n$9\r\nsubscribe\r\n$1\r\nc\r\n:1\r\n", false, true),
            (
                b">3\r\n$12\r\npunsubscribe\r\n$1\r\nc\r\n:1\r\n",
                false,
                true,
            ),
            (b"*2\r\n$4\r\npong\r\n$0\r\n\r\n", false, false),
            (b">2\r\n+invalidate\r\n*0\r\n", false, false),
            (b"*0\r\n", false, false),
            (
                b"*1\r\n$99\r\nsubscribexxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx",
                false,
                false,
            ),
        ];
        for (bytes, message, confirmation) in cases {
            for cut in 0..bytes.len() {
                let mut head = Head::default();
                head.push(&bytes[..cut]);
                head.push(&bytes[cut..]);
                assert_eq!(head.is_message(), message, "{}", bytes.escape_ascii());
                assert_eq!(
                    head.is_confirmation(),
                    confirmation,
                    "{}",
                    bytes.escape_ascii()
                );
            }
        }
    }
}
