/// Deepest nesting of a reply, in levels of aggregates: 32.
///
/// Servers nest 4 to 7 levels in the replies of their own commands; scripts may nest more.
pub const MAX_NESTING: usize = 32;

/// What one request may hold. A request beyond a limit is refused as soon as it announces it, before
/// its bytes arrive.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct RequestLimits {
    /// Most words, the command's name included.
    pub max_args: usize,
    /// Longest word, in bytes.
    pub max_bulk: usize,
    /// Longest request with its headers, in bytes. Beyond 4 GiB it counts as 4 GiB.
    pub max_request: usize,
    /// Longest inline request without its line end, and longest header line, in bytes.
    pub max_inline: usize,
    /// Whether the client has logged in. Only chooses the words of an error: the server calls a
    /// length that a login would permit `unauthenticated`, and any other `invalid`.
    pub logged_in: bool,
}

impl RequestLimits {
    /// Before login: 64 KiB a request, 1,024 words.
    pub const BEFORE_LOGIN: Self = Self {
        max_args: 1024,
        max_bulk: 64 * 1024,
        max_request: 64 * 1024,
        max_inline: 64 * 1024,
        logged_in: false,
    };

    /// After login: 512 MiB a word, 1 GiB a request, 1,048,576 words, 64 KiB an inline request.
    ///
    /// Source: the defaults of `proto-max-bulk-len` and `client-query-buffer-limit` of Valkey and
    /// Redis, their constant `PROTO_INLINE_MAX_SIZE`, and the number of words that Redis accepted
    /// before version 7.
    pub const AFTER_LOGIN: Self = Self {
        max_args: 1024 * 1024,
        max_bulk: 512 * 1024 * 1024,
        max_request: 1024 * 1024 * 1024,
        max_inline: 64 * 1024,
        logged_in: true,
    };
}
