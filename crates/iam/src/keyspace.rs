//! Actions of the control plane that are decided as a read or a write of all keys: a snapshot is a
//! copy of everything, and restoring it writes everything. Nobody comes by one to keys that commands
//! keep from it.

use std::sync::OnceLock;

use keyward_commands::{ActionBits, ActionId, CommandClass, CommandId, CommandScope, Flags};
use keyward_policy::Touch;

use crate::bits::Bits;
use crate::decision::{Decision, Outcome};
use crate::evaluate::Question;
use crate::grounds::Grounds;
use crate::ids::{Kind, PathParts};

/// How an action uses all keys of a resource at once.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum KeyspaceUse {
    /// All keys are read: making a snapshot, and restoring one, which opens what is in it to whoever
    /// may read the target.
    Read,
    /// All keys may be written: the target of a restore.
    Write,
}

impl KeyspaceUse {
    /// How an action uses the keys of what is at a path; `None` for one that uses none, or is a
    /// command.
    pub(crate) fn of(action: ActionId, resource: &str) -> Option<Self> {
        if !action.uses_keyspace() {
            return None;
        }
        let of_snapshot = PathParts::of(resource).is_some_and(|parts| parts.kind == Kind::Snapshot);
        match action.name() {
            "kvdb:CreateSnapshot" => Some(Self::Read),
            _ if of_snapshot => Some(Self::Read),
            _ => Some(Self::Write),
        }
    }

    fn touch(self) -> Touch<'static> {
        Touch::EveryKey {
            reads: self == Self::Read,
            writes: self == Self::Write,
            enumeration: false,
        }
    }

    /// Commands that must be allowed on every key, whatever else is known of the call: what the work
    /// itself consists of.
    fn needed(self) -> &'static ActionBits {
        static NEEDED: [OnceLock<ActionBits>; 2] = [const { OnceLock::new() }; 2];
        let names: &[&str] = match self {
            Self::Read => &["kvdb:ExecuteDump", "kvdb:ExecuteScan"],
            Self::Write => &["kvdb:ExecuteRestore"],
        };
        NEEDED[self as usize].get_or_init(|| {
            let mut bits = ActionBits::EMPTY;
            for name in names {
                let action = keyward_commands::action(name);
                bits.insert(action.expect("the catalogue has what snapshots consist of"));
            }
            bits
        })
    }

    /// Commands of which no Deny may match any call: those whose keys are read (written).
    fn undenied(self) -> &'static ActionBits {
        static UNDENIED: [OnceLock<ActionBits>; 2] = [const { OnceLock::new() }; 2];
        UNDENIED[self as usize].get_or_init(|| {
            let wanted = match self {
                Self::Read => Flags::READONLY,
                Self::Write => Flags::WRITE,
            };
            let mut bits = self.needed().clone();
            for id in CommandId::all() {
                let command = id.command();
                if command.class == CommandClass::Ordinary
                    && command.scope == CommandScope::Keyed
                    && command.flags.contains(wanted)
                {
                    bits.insert(id.action());
                }
            }
            bits
        })
    }

    fn text(self) -> &'static str {
        match self {
            Self::Read => "it is a read of every key",
            Self::Write => "it is a write of every key",
        }
    }
}

impl Grounds {
    /// Whether commands could do what the use of all keys does: `None` if they could, else what
    /// refuses.
    fn keyspace_refusal(
        &self,
        used: KeyspaceUse,
        question: &Question<'_>,
        administration: bool,
    ) -> Option<Decision> {
        let connect = self.evaluate_connect();
        if connect.outcome == Outcome::ExplicitDeny {
            return Some(connect);
        }
        let ask = |action: ActionId| {
            self.evaluate(&Question {
                action,
                touch: used.touch(),
                request: question.request,
            })
        };
        let bits = Bits::of(self, administration);
        let denied = bits.denied.maybe.intersect(used.undenied());
        let denials = denied.iter().map(ask);
        let mut denials = denials.filter(|decision| decision.outcome == Outcome::ExplicitDeny);
        if let Some(denial) = denials.next() {
            return Some(denial);
        }
        for action in used.needed().iter() {
            let decision = ask(action);
            if !decision.is_allow() {
                return Some(decision);
            }
        }
        // Which call it would be is not known: what holds only for some of them is not enough.
        let some = denied
            .iter()
            .next()
            .map(|action| (action, "denied for some calls"));
        let unsure = used.needed().subtract(&bits.runnable.sure);
        let unsure = unsure
            .iter()
            .next()
            .map(|action| (action, "not allowed for every call"));
        some.or(unsure).map(|(action, why)| {
            let text = format!("{} is {why}", action.name());
            Decision {
                message: text.clone(),
                public_message: text,
                ..self.decision(question, Outcome::ImplicitDeny)
            }
        })
    }

    /// Decides an action that uses all keys: it must be allowed itself, on every key, and so must the
    /// commands that would do the same.
    pub(crate) fn decide_keyspace(
        &self,
        used: KeyspaceUse,
        question: &Question<'_>,
        administration: bool,
    ) -> Decision {
        let question = &Question {
            touch: Touch::of_action(question.action),
            ..*question
        };
        let own = self.evaluate(question);
        if !own.is_allow() {
            return own;
        }
        match self.keyspace_refusal(used, question, administration) {
            None => own,
            Some(refusal) => {
                let why = |message: &str| {
                    let of = match refusal.action == own.action {
                        true => String::new(),
                        false => format!("{}: ", refusal.action),
                    };
                    format!("{}: {of}{message}", used.text())
                };
                Decision {
                    action: own.action,
                    message: why(&refusal.message),
                    public_message: why(&refusal.public_message),
                    ..refusal
                }
            }
        }
    }

    /// Whether the commands that an action stands for leave it possible: `true` for every other
    /// action.
    pub(crate) fn holds_keyspace(&self, action: ActionId, administration: bool) -> bool {
        let Some(used) = KeyspaceUse::of(action, &self.resource) else {
            return true;
        };
        let request = &self.early();
        let question = Question {
            action,
            touch: Touch::of_action(action),
            request,
        };
        self.keyspace_refusal(used, &question, administration)
            .is_none()
    }
}
