//! RESP2 and RESP3, without I/O: one incremental decoder of requests, one framer of replies, one
//! encoder.
//!
//! Nothing here copies a payload: [`RequestDecoder`] gives ranges of the bytes that were read, and
//! [`ReplyFramer`] tells how many bytes belong to a reply while they pass. Both remember where they
//! stopped, so a large request or reply that arrives in many pieces is looked at once. What a peer
//! may announce is bounded ([`RequestLimits`], [`MAX_NESTING`]) before anything is kept for it.
//!
//! ```
//! use keyward_resp::{Decoded, RequestDecoder, RequestLimits, Words};
//!
//! let input = b"*2\r\n$3\r\nGET\r\n$1\r\nk\r\n";
//! let (mut decoder, mut words) = (RequestDecoder::new(), Words::default());
//! let decoded = decoder.decode(input, &RequestLimits::BEFORE_LOGIN, &mut words)?;
//! assert_eq!(decoded, Decoded::Complete { len: input.len(), inline: false });
//! assert_eq!(words.of(input).get(1), b"k");
//! # Ok::<(), keyward_resp::RequestError>(())
//! ```

mod double;
pub mod encode;
mod header;
mod inline;
mod limits;
mod protocol;
mod reply;
mod request;
mod value;
mod words;

pub use double::format_double;
pub use encode::encode_request;
pub use limits::{MAX_NESTING, RequestLimits};
pub use protocol::Protocol;
pub use reply::{Framed, ReplyError, ReplyFramer, complete_reply};
pub use request::{Decoded, RequestDecoder, RequestError};
pub use value::Value;
pub use words::{WordSlices, Words};
