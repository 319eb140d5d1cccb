//! Writing of replies, in the session's protocol.

use keyward_resp::{Protocol, encode};

/// Appends replies to the output of one call.
pub(crate) struct Reply<'a> {
    out: &'a mut Vec<u8>,
    protocol: Protocol,
    /// Length of `out` at which nothing more is appended.
    end: usize,
    cut: bool,
}

impl<'a> Reply<'a> {
    /// `end`: the length of `out` at which the reply is too large.
    pub(crate) fn new(out: &'a mut Vec<u8>, protocol: Protocol, end: usize) -> Self {
        Self {
            out,
            protocol,
            end,
            cut: false,
        }
    }

    /// Was the reply too large, so that it is not whole?
    pub(crate) fn is_cut(&self) -> bool {
        self.cut
    }

    pub(crate) fn is_resp3(&self) -> bool {
        self.protocol == Protocol::Resp3
    }

    pub(crate) fn ok(&mut self) {
        self.out.extend_from_slice(b"+OK\r\n");
    }

    pub(crate) fn simple(&mut self, text: &str) {
        encode::simple(self.out, text);
    }

    pub(crate) fn integer(&mut self, value: i64) {
        encode::integer(self.out, value);
    }

    /// A number of things in memory, which is far below 2^63.
    pub(crate) fn count(&mut self, count: usize) {
        encode::integer(self.out, count as i64);
    }

    /// 1 or 0.
    pub(crate) fn flag(&mut self, flag: bool) {
        encode::integer(self.out, i64::from(flag));
    }

    pub(crate) fn bulk(&mut self, bytes: &[u8]) {
        if self.out.len().saturating_add(bytes.len()) > self.end {
            self.cut = true;
            return;
        }
        encode::bulk(self.out, bytes);
    }

    pub(crate) fn bulk_or_null(&mut self, bytes: Option<&[u8]>) {
        match bytes {
            Some(bytes) => self.bulk(bytes),
            None => self.null(),
        }
    }

    pub(crate) fn null(&mut self) {
        encode::null(self.out, self.protocol);
    }

    pub(crate) fn null_array(&mut self) {
        encode::null_array(self.out, self.protocol);
    }

    pub(crate) fn array(&mut self, len: usize) {
        encode::array(self.out, len);
    }

    pub(crate) fn map(&mut self, pairs: usize) {
        encode::map(self.out, self.protocol, pairs);
    }

    pub(crate) fn set(&mut self, len: usize) {
        encode::set(self.out, self.protocol, len);
    }

    pub(crate) fn double(&mut self, value: f64) {
        encode::double(self.out, self.protocol, value);
    }

    pub(crate) fn verbatim(&mut self, text: &str) {
        encode::verbatim(self.out, self.protocol, "txt", text.as_bytes());
    }

    /// Header of an array of `count` pairs: nested in RESP3, flat in RESP2.
    pub(crate) fn pairs(&mut self, count: usize) {
        self.array(if self.is_resp3() { count } else { count * 2 });
    }

    /// Header of one pair within `pairs`.
    pub(crate) fn pair(&mut self) {
        if self.is_resp3() {
            self.array(2);
        }
    }
}
