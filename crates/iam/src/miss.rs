//! What came nearest to an allow, and what it lacked.

use keyward_policy::{
    AclDenial, ChannelUse, Conditions, Facts, Found, KeyFields, KeyUse, Match, Statement, Touch,
};

use crate::decision::{StatementRef, Subject};
use crate::evaluate::{At, Question};
use crate::grounds::{Grounds, PolicySource};

/// Where a chain stopped. What it says is written only of the one that is told.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Stop<'a> {
    /// A trust that is over.
    Expired(&'a PolicySource),
    /// A Deny that denies nothing but what passes here.
    Breaks(&'a PolicySource, At<'a>),
    /// A list without an Allow for it; with the one that came nearest.
    Silent(&'a PolicySource, Option<(Match, At<'a>)>),
    /// The resource's policy names the identity, and does not allow it.
    SilentResource(Match, At<'a>),
    /// The resource does not accept the identity.
    NotAccepted,
}

/// A stop, told.
#[derive(Clone, Debug)]
pub(crate) struct Told {
    pub(crate) statement: Option<StatementRef>,
    pub(crate) source: Option<PolicySource>,
    pub(crate) subject: Subject,
    pub(crate) text: String,
}

impl Stop<'_> {
    /// How far the nearest statement came.
    fn rank(&self) -> Match {
        match self {
            Self::Expired(_) | Self::Breaks(..) => Match::Full,
            Self::Silent(_, Some((rank, _))) | Self::SilentResource(rank, _) => {
                (*rank).max(Match::Action)
            }
            Self::Silent(_, None) | Self::NotAccepted => Match::Action,
        }
    }

    pub(crate) fn explain(&self, grounds: &Grounds, question: &Question<'_>) -> Told {
        let told = |source: &PolicySource, text: String| Told {
            statement: None,
            source: Some(source.clone()),
            subject: Subject::Command,
            text,
        };
        match *self {
            Self::Expired(source) => told(source, format!("{} has expired", source.describe())),
            Self::Breaks(source, at) => {
                let statement = at.reference(source);
                let text = format!("{} denies, which breaks the chain", statement.describe());
                Told {
                    statement: Some(statement),
                    ..told(source, text)
                }
            }
            Self::NotAccepted => {
                let principal = grounds.nodes.first().map_or("deleted", |n| &n.path);
                let resource = &grounds.resource;
                let text = match grounds.is_of_trust_document(question.action) {
                    true => format!(
                        "the trust document of {resource} names neither {principal} nor an organisation that lets it"
                    ),
                    false => format!(
                        "no chain of trusts leads from {principal} to an identity that {resource} accepts for it"
                    ),
                };
                Told {
                    statement: None,
                    source: None,
                    subject: Subject::Command,
                    text,
                }
            }
            Self::SilentResource(rank, at) => {
                let source = grounds.resource_reference(at).source;
                explain_silent(&source, Some((rank, at)), grounds, question)
            }
            Self::Silent(source, near) => explain_silent(source, near, grounds, question),
        }
    }
}

fn explain_silent(
    source: &PolicySource,
    near: Option<(Match, At<'_>)>,
    grounds: &Grounds,
    question: &Question<'_>,
) -> Told {
    let resource = &*grounds.resource;
    let action = &*grounds.action_name(question);
    let Some((rank, at)) = near.filter(|(rank, _)| *rank > Match::Action) else {
        return Told {
            statement: None,
            source: Some(source.clone()),
            subject: Subject::Command,
            text: format!("no statement of {} allows {action}", source.describe()),
        };
    };
    let statement = at.reference(source);
    let described = statement.describe();
    let (subject, text) = match rank {
        _ if at.statement.acl.is_some() => explain_acl(at.statement, question, &described, action),
        Match::Resource => (
            Subject::Command,
            format!("{described} allows {action}, but not on {resource}"),
        ),
        Match::Conditions if matches!(source, PolicySource::Conditions(_)) => (
            Subject::Command,
            format!(
                "{described} are not met: {}",
                failed_clause(at.statement, question)
            ),
        ),
        Match::Conditions => (
            Subject::Command,
            format!(
                "{described} allows {action}, but {}",
                failed_clause(at.statement, question)
            ),
        ),
        _ => explain_keys(at.statement, question, &described, action),
    };
    Told {
        statement: Some(statement),
        source: Some(source.clone()),
        subject,
        text,
    }
}

/// The first clause that does not hold, without the request's values: they may be a secret.
fn failed_clause(statement: &Statement, question: &Question<'_>) -> String {
    let clauses = statement
        .conditions
        .as_ref()
        .map_or(&[][..], Conditions::clauses);
    let failed = clauses
        .iter()
        .find(|clause| clause.holds(statement.effect, question) != Some(true));
    let Some(clause) = failed else {
        return "not under its conditions".to_owned();
    };
    let wanted: Vec<&str> = clause
        .values()
        .iter()
        .take(4)
        .map(|value| value.text())
        .collect();
    let more = if clause.values().len() > 4 {
        ", …"
    } else {
        ""
    };
    let absent = match question.find(&clause.key) {
        Found::Absent => ": the request does not have it",
        _ => "",
    };
    format!(
        "its condition {} on {} ({}{more}) does not hold{absent}",
        clause.operator_name(),
        clause.key.name(),
        wanted.join(", ")
    )
}

/// Why ACL rules that give the command do not allow this call of it.
fn explain_acl(
    statement: &Statement,
    question: &Question<'_>,
    described: &str,
    action: &str,
) -> (Subject, String) {
    let (Some(user), Some(call)) = (&statement.acl, question.call()) else {
        let text = format!("{described} allows {action}, but not with whatever arguments");
        return (Subject::Command, text);
    };
    let shown = |word: u32| String::from_utf8_lossy(call.words.word(word as usize)).into_owned();
    let denial = user.allows_among(call.command, &call.words, call.db_index, call.databases);
    let (subject, what) = match denial {
        Err(AclDenial::Key { word }) => (Subject::Key, format!("on key `{}`", shown(word))),
        Err(AclDenial::Channel { word }) => {
            (Subject::Channel, format!("on channel `{}`", shown(word)))
        }
        Err(AclDenial::Database { word: 0 }) => {
            let text = format!("in database {}", call.db_index);
            (Subject::Command, text)
        }
        Err(AclDenial::Database { word }) => {
            (Subject::Command, format!("with database {}", shown(word)))
        }
        _ => (Subject::Command, "with these arguments".to_owned()),
    };
    let text = format!("{described} allows {action}, but not {what}; selectors do not add up");
    (subject, text)
}

/// The first variable in the key fields of a statement that the request has no value for.
fn valueless(statement: &Statement, question: &Question<'_>) -> Option<String> {
    let templates = statement.templates.as_ref()?;
    let lists = [
        &templates.keys,
        &templates.read_keys,
        &templates.write_keys,
        &templates.channels,
    ];
    let mut variables = lists
        .into_iter()
        .flatten()
        .filter_map(|template| template.missing(question));
    variables.next().map(|key| format!("${{{}}}", key.name()))
}

/// Why an `Allow` that fits otherwise does not cover the keys or channels.
fn explain_keys(
    statement: &Statement,
    question: &Question<'_>,
    described: &str,
    action: &str,
) -> (Subject, String) {
    let fields = statement.key_fields(question);
    let alone = |keys: &[KeyUse<'_>], channels: &[ChannelUse<'_>]| match &fields {
        KeyFields::Patterns(patterns) => patterns.allows(&Touch::Named { keys, channels }),
        KeyFields::Unrestricted => true,
        KeyFields::Later => false,
    };
    match &question.touch {
        Touch::EveryKey {
            enumeration: true, ..
        } => (
            Subject::Key,
            format!(
                "{described} allows {action}, but no key to be read, which is all that it could show"
            ),
        ),
        Touch::EveryKey { .. } => (
            Subject::Key,
            format!(
                "{described} allows {action} only on some keys, and the command touches every \
                 key, which only the pattern `*` covers"
            ),
        ),
        Touch::Named { keys, channels } => {
            if let Some(key) = keys
                .iter()
                .find(|key| !alone(std::slice::from_ref(key), &[]))
            {
                let shown = String::from_utf8_lossy(key.key);
                let access = match (key.reads, key.writes) {
                    (true, true) => "read and written",
                    (false, true) => "written",
                    _ => "read",
                };
                let hint = match valueless(statement, question) {
                    Some(variable) => format!("; `{variable}` has no value, and matches nothing"),
                    None if keys.len() > 1 => {
                        "; keys granted by two statements do not add up".to_owned()
                    }
                    None => String::new(),
                };
                let text = format!(
                    "{described} allows {action}, but not on key `{shown}`, which is {access}{hint}"
                );
                return (Subject::Key, text);
            }
            if let Some(channel) = channels
                .iter()
                .find(|c| !alone(&[], std::slice::from_ref(c)))
            {
                let shown = String::from_utf8_lossy(channel.channel);
                let hint = match valueless(statement, question) {
                    Some(variable) => format!("; `{variable}` has no value, and matches nothing"),
                    None => String::new(),
                };
                let text =
                    format!("{described} allows {action}, but not on channel `{shown}`{hint}");
                return (Subject::Channel, text);
            }
            (
                Subject::Key,
                format!("{described} allows {action}, but not on all its keys at once"),
            )
        }
        Touch::None | Touch::Keyless => (
            Subject::Command,
            format!("{described} allows {action}, but not this request"),
        ),
    }
}

/// The nearest miss: the longest chain prefix that allowed, then how far its best statement came;
/// ties by text.
pub(crate) struct Misses<'a, 'q> {
    grounds: &'a Grounds,
    question: &'q Question<'q>,
    nearest: Option<((usize, u8, Match), Stop<'a>)>,
}

impl<'a, 'q> Misses<'a, 'q> {
    pub(crate) fn new(grounds: &'a Grounds, question: &'q Question<'q>) -> Self {
        Self {
            grounds,
            question,
            nearest: None,
        }
    }

    /// `stage`: 0 the resource did not accept, 1 a trust, 2 a limit of an identity on the chain,
    /// 3 a limit of the request after a chain allowed.
    pub(crate) fn add(&mut self, depth: usize, stage: u8, stop: Stop<'a>) {
        // A resource statement that names the identity came nearer than a trust that says nothing.
        let stage = if stage == 0 && stop.rank() > Match::Action {
            2
        } else {
            stage
        };
        let rank = (depth, stage, stop.rank());
        let text = |stop: &Stop<'_>| stop.explain(self.grounds, self.question).text;
        let nearer = self.nearest.as_ref().is_none_or(|(best, found)| {
            rank > *best || (rank == *best && text(&stop) < text(found))
        });
        if nearer {
            self.nearest = Some((rank, stop));
        }
    }

    /// What to tell: that nothing accepts, if nothing came near.
    pub(crate) fn nearest(&self) -> Stop<'a> {
        self.nearest
            .as_ref()
            .map_or(Stop::NotAccepted, |(_, stop)| *stop)
    }
}
