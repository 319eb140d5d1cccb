//! How the gateway deals with each command, once it is allowed.

use std::sync::OnceLock;

use keyward_commands::{CommandId, CommandScope, Flags};

use crate::sieve::Listing;

/// What is done with a command once it is allowed.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Handling {
    /// One request, one reply, nothing left behind on the connection.
    Plain,
    /// Leaves something behind that a new upstream connection would not have.
    Sticky,
    /// May wait.
    Blocking,
    /// Begins subscriptions.
    Subscribe(Namespace),
    /// Ends subscriptions.
    Unsubscribe(Namespace),
    /// Its reply may hold secrets of the server.
    ConfigGet,
    /// Its reply tells the names of keys.
    Enumeration(Listing),
    /// `SELECT`
    Select,
    /// `MULTI`
    Multi,
    /// `EXEC`
    Exec,
    /// `DISCARD`
    Discard,
    /// `WATCH`
    Watch,
    /// `UNWATCH`
    Unwatch,
    /// `PING`, allowed while subscribed.
    Ping,
    /// `AUTH`
    Auth,
    /// `HELLO`
    Hello,
    /// `QUIT`
    Quit,
    /// `RESET`
    Reset,
    /// Answered here, whatever the backend.
    Own(Own),
    /// Answered here where the backend is the engine, else by the server.
    Catalogue,
    /// Would show or hit what is not the caller's.
    Refused,
}

/// Commands answered here whatever the backend.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Own {
    /// `CLIENT ID`
    ClientId,
    /// `CLIENT GETNAME`
    ClientGetname,
    /// `CLIENT SETNAME`
    ClientSetname,
    /// `CLIENT SETINFO`
    ClientSetinfo,
    /// `CLIENT INFO`
    ClientInfo,
    /// `CLIENT LIST`
    ClientList,
    /// `CLIENT REPLY`
    ClientReply,
    /// `CLIENT HELP`
    ClientHelp,
    /// `ACL WHOAMI`
    AclWhoami,
    /// `ACL CAT`
    AclCat,
    /// `ACL DRYRUN`
    AclDryrun,
}

/// Channels, patterns and shard channels are counted apart.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Namespace {
    /// `SUBSCRIBE`
    Channels,
    /// `PSUBSCRIBE`
    Patterns,
    /// `SSUBSCRIBE`
    Shards,
}

impl Namespace {
    /// The command that subscribes.
    pub(crate) fn command(self) -> &'static [u8] {
        match self {
            Self::Channels => b"SUBSCRIBE",
            Self::Patterns => b"PSUBSCRIBE",
            Self::Shards => b"SSUBSCRIBE",
        }
    }
}

impl Handling {
    /// How `command` is dealt with: one look-up.
    #[inline]
    pub(crate) fn of(command: CommandId) -> Self {
        static TABLE: OnceLock<Box<[Handling]>> = OnceLock::new();
        TABLE.get_or_init(|| CommandId::all().map(Self::find).collect())[command.index()]
    }

    fn find(command: CommandId) -> Self {
        let command = command.command();
        match command.name {
            "auth" => Self::Auth,
            "hello" => Self::Hello,
            "quit" => Self::Quit,
            "reset" => Self::Reset,
            "select" => Self::Select,
            "multi" => Self::Multi,
            "exec" => Self::Exec,
            "discard" => Self::Discard,
            "watch" => Self::Watch,
            "unwatch" => Self::Unwatch,
            "ping" => Self::Ping,
            "echo" => Self::Plain,
            "subscribe" => Self::Subscribe(Namespace::Channels),
            "psubscribe" => Self::Subscribe(Namespace::Patterns),
            "ssubscribe" => Self::Subscribe(Namespace::Shards),
            "unsubscribe" => Self::Unsubscribe(Namespace::Channels),
            "punsubscribe" => Self::Unsubscribe(Namespace::Patterns),
            "sunsubscribe" => Self::Unsubscribe(Namespace::Shards),
            "config|get" => Self::ConfigGet,
            "client|id" => Self::Own(Own::ClientId),
            "client|getname" => Self::Own(Own::ClientGetname),
            "client|setname" => Self::Own(Own::ClientSetname),
            "client|setinfo" => Self::Own(Own::ClientSetinfo),
            "client|info" => Self::Own(Own::ClientInfo),
            "client|list" => Self::Own(Own::ClientList),
            "client|reply" => Self::Own(Own::ClientReply),
            "client|help" => Self::Own(Own::ClientHelp),
            "acl|whoami" => Self::Own(Own::AclWhoami),
            "acl|cat" => Self::Own(Own::AclCat),
            "acl|dryrun" => Self::Own(Own::AclDryrun),
            // They show or hit other clients of the server by the server's ids, or the server's
            // own users with their password hashes, or turn the connection into a stream.
            "client|kill" | "client|unblock" | "acl|list" | "acl|getuser" | "acl|setuser"
            | "acl|deluser" | "acl|save" | "acl|load" | "monitor" | "sync" | "psync"
            | "replconf" => Self::Refused,
            name if name == "command" || name.starts_with("command|") => Self::Catalogue,
            name if name.starts_with("client|") => Self::Sticky,
            "readonly" | "readwrite" | "asking" | "script|debug" => Self::Sticky,
            "scan" | "clusterscan" => Self::Enumeration(Listing::Page),
            "randomkey" => Self::Enumeration(Listing::One),
            _ if command.scope == CommandScope::Enumeration => Self::Enumeration(Listing::Keys),
            _ if command.flags.contains(Flags::BLOCKING) => Self::Blocking,
            _ => Self::Plain,
        }
    }
}
