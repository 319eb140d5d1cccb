//! `CONFIG GET` without the server's secrets.

use keyward_resp::{Protocol, Value, encode};

/// Settings that open doors: never shown.
const SECRET: &[&str] = &[
    "requirepass",
    "masterauth",
    "primaryauth",
    "masteruser",
    "primaryuser",
    "tls-key-file-pass",
    "tls-client-key-file-pass",
];

/// The reply without secrets, RESP2.
pub(crate) fn without_secrets_resp2(reply: &[u8], out: &mut Vec<u8>) {
    without_secrets(reply, Protocol::Resp2, out);
}

/// The reply without secrets, RESP3.
pub(crate) fn without_secrets_resp3(reply: &[u8], out: &mut Vec<u8>) {
    without_secrets(reply, Protocol::Resp3, out);
}

fn without_secrets(reply: &[u8], protocol: Protocol, out: &mut Vec<u8>) {
    let pairs = match Value::decode(reply) {
        Ok(Some((Value::Map(pairs), _))) => pairs,
        Ok(Some((Value::Array(values), _))) if values.len() % 2 == 0 => {
            let mut values = values.into_iter();
            std::iter::from_fn(|| values.next().zip(values.next())).collect()
        }
        Ok(Some((Value::Error(_), _))) => {
            out.extend_from_slice(reply);
            return;
        }
        _ => {
            encode::error(
                out,
                "ERR keyward: the server's reply to CONFIG GET is not understood",
            );
            return;
        }
    };
    let shown: Vec<_> = pairs
        .into_iter()
        .filter(|(name, _)| !is_secret(name))
        .collect();
    encode::map(out, protocol, shown.len());
    for (name, value) in shown {
        name.encode(out);
        value.encode(out);
    }
}

fn is_secret(name: &Value) -> bool {
    match name {
        Value::Bulk(name) | Value::Simple(name) => SECRET
            .iter()
            .any(|secret| name.eq_ignore_ascii_case(secret.as_bytes())),
        // Not what a server sends; not shown.
        _ => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_left_out_whatever_the_protocol() {
        let cases: [(&[u8], Protocol, &[u8]); 5] = [
            (
                b"*4\r\n$11\r\nrequirepass\r\n$1\r\nx\r\n$4\r\nport\r\n$1\r\n1\r\n",
                Protocol::Resp2,
                b"*2\r\n$4\r\nport\r\n$1\r\n1\r\n",
            ),
            (
                b"%2\r\n$10\r\nMasterAuth\r\n$1\r\nx\r\n$4\r\nport\r\n$1\r\n1\r\n",
                Protocol::Resp3,
                b"%1\r\n$4\r\nport\r\n$1\r\n1\r\n",
            ),
            (b"*0\r\n", Protocol::Resp2, b"*0\r\n"),
            (b"-ERR no\r\n", Protocol::Resp2, b"-ERR no\r\n"),
            (
                b"+requirepass x\r\n",
                Protocol::Resp2,
                b"-ERR keyward: the server's reply to CONFIG GET is not understood\r\n",
            ),
        ];
        for (reply, protocol, expected) in cases {
            let mut out = Vec::new();
            without_secrets(reply, protocol, &mut out);
            assert_eq!(out, expected, "{}", reply.escape_ascii());
        }
    }
}
