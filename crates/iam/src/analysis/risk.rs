//! What an action can do at the worst.

use keyward_commands::{
    ActionBits, ActionId, ChannelRule, CommandClass, CommandScope, Flags, action_pattern,
};
use std::sync::OnceLock;

/// Classes of actions, harmless ones first.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Risk {
    /// Commands about the connection, and those that touch nothing (`TIME`).
    Connection,
    /// Looks at entities of the control plane.
    Look,
    /// Reads keys.
    Read,
    /// Publishes or subscribes.
    PublishSubscribe,
    /// Lists the names of keys (`SCAN`), or looks at all of them (`DBSIZE`).
    WholeKeyspaceRead,
    /// Writes keys.
    Write,
    /// Deletes keys, or can make a value go: expiry, overwriting, taking the last element.
    Delete,
    /// Changes every key at once (`FLUSHALL`, `SWAPDB`).
    WholeKeyspaceWrite,
    /// Creates or changes entities of the control plane.
    Change,
    /// Deletes entities of the control plane.
    Remove,
    /// Runs scripts and functions, which reach what Keyward cannot see.
    Scripts,
    /// Administers the server.
    Administer,
    /// Hands out power: credentials, trusts, policies.
    HandOut,
}

impl Risk {
    /// All of them, harmless ones first.
    pub const ALL: [Self; 13] = [
        Self::Connection,
        Self::Look,
        Self::Read,
        Self::PublishSubscribe,
        Self::WholeKeyspaceRead,
        Self::Write,
        Self::Delete,
        Self::WholeKeyspaceWrite,
        Self::Change,
        Self::Remove,
        Self::Scripts,
        Self::Administer,
        Self::HandOut,
    ];

    /// Its name in JSON.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Connection => "connection",
            Self::Look => "look",
            Self::Read => "read",
            Self::PublishSubscribe => "publish_subscribe",
            Self::WholeKeyspaceRead => "whole_keyspace_read",
            Self::Write => "write",
            Self::Delete => "delete",
            Self::WholeKeyspaceWrite => "whole_keyspace_write",
            Self::Change => "change",
            Self::Remove => "remove",
            Self::Scripts => "scripts",
            Self::Administer => "administer",
            Self::HandOut => "hand_out",
        }
    }

    /// The class of an action.
    #[must_use]
    pub fn of(action: ActionId) -> Self {
        let Some(id) = action.command() else {
            return Self::of_control(action.name());
        };
        let command = id.command();
        let writes = command.flags.contains(Flags::WRITE);
        match command.class {
            CommandClass::Administrative => return Self::Administer,
            CommandClass::WholeDatabase => return Self::Scripts,
            CommandClass::Always | CommandClass::ConnectOnly => return Self::Connection,
            CommandClass::Ordinary => {}
        }
        match command.scope {
            CommandScope::WholeKeyspace if writes => Self::WholeKeyspaceWrite,
            CommandScope::WholeKeyspace | CommandScope::Enumeration => Self::WholeKeyspaceRead,
            _ if command.channels != ChannelRule::None => Self::PublishSubscribe,
            CommandScope::Keyless => Self::Connection,
            CommandScope::Keyed if !writes => Self::Read,
            CommandScope::Keyed if deleting().contains(action) => Self::Delete,
            CommandScope::Keyed => Self::Write,
        }
    }

    fn of_control(name: &str) -> Self {
        let (service, verb) = name.split_once(':').unwrap_or(("", name));
        match verb {
            "Connect" => Self::Connection,
            "SetBackend" | "SetAdministration" | "SetShadowMode" => Self::Administer,
            "CreateSnapshot" => Self::WholeKeyspaceRead,
            "RestoreSnapshot" => Self::WholeKeyspaceWrite,
            "PutGuardrail" | "TransferOwnership" => Self::HandOut,
            _ if verb.starts_with("List")
                || verb.starts_with("Describe")
                || verb.starts_with("Get")
                || matches!(verb, "Simulate" | "ExplainDecision") =>
            {
                Self::Look
            }
            _ if service == "sts" => Self::HandOut,
            _ if hands_out(verb) => Self::HandOut,
            _ if verb.starts_with("Delete") => Self::Remove,
            _ => Self::Change,
        }
    }
}

/// Verbs of `iam:` that make somebody more than it was.
fn hands_out(verb: &str) -> bool {
    verb.starts_with("Tag")
        || matches!(
            verb,
            "CreateAccessKey"
                | "UpdateAccessKey"
                | "CreateTrust"
                | "UpdateTrust"
                | "DeleteTrust"
                | "AcceptTrust"
                | "UpdatePolicy"
                | "SetDefaultPolicyVersion"
                | "PutPermissionBoundary"
                | "DeletePermissionBoundary"
                | "PutResourcePolicy"
                | "DeleteResourcePolicy"
                | "UpdateIdentityProvider"
                | "CreateIdentityProvider"
        )
}

fn deleting() -> &'static ActionBits {
    static DELETING: OnceLock<ActionBits> = OnceLock::new();
    DELETING.get_or_init(|| action_pattern("kvdb:@delete").unwrap_or(ActionBits::EMPTY))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn classes() {
        let cases = [
            ("kvdb:ExecuteGet", Risk::Read),
            ("kvdb:ExecuteSet", Risk::Delete),
            ("kvdb:ExecuteAppend", Risk::Write),
            ("kvdb:ExecuteDel", Risk::Delete),
            ("kvdb:ExecuteFlushall", Risk::WholeKeyspaceWrite),
            ("kvdb:ExecuteScan", Risk::WholeKeyspaceRead),
            ("kvdb:ExecuteDbsize", Risk::WholeKeyspaceRead),
            ("kvdb:ExecutePublish", Risk::PublishSubscribe),
            ("kvdb:ExecuteEval", Risk::Scripts),
            ("kvdb:ExecuteConfigSet", Risk::Administer),
            ("kvdb:ExecutePing", Risk::Connection),
            ("kvdb:ExecuteTime", Risk::Connection),
            ("kvdb:Describe", Risk::Look),
            ("kvdb:Delete", Risk::Remove),
            ("kvdb:SetBackend", Risk::Administer),
            ("iam:CreateAccessKey", Risk::HandOut),
            ("iam:CreateGroup", Risk::Change),
            ("iam:GetResourcePolicy", Risk::Look),
            ("org:TransferOwnership", Risk::HandOut),
        ];
        for (name, expected) in cases {
            let action = keyward_commands::action(name).unwrap();
            assert_eq!(Risk::of(action), expected, "{name}");
        }
    }

    #[test]
    fn every_class_is_in_the_list() {
        let mut seen: Vec<Risk> = ActionId::all().map(Risk::of).collect();
        seen.sort_unstable();
        seen.dedup();
        assert_eq!(seen, Risk::ALL);
    }
}
