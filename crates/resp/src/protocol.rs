/// Version of the protocol that a connection speaks; `HELLO` chooses it.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
pub enum Protocol {
    /// What every connection begins with.
    #[default]
    Resp2,
    /// Maps, sets, doubles, booleans, nulls and pushes as types of their own.
    Resp3,
}
