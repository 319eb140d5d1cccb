//! The policies that Keyward itself provides: the same in every organisation, and nobody's to
//! change.

use std::sync::Arc;

use keyward_policy::{Dialect, Findings, Policy};

use crate::documents;

/// Where the paths of system policies begin. `system` is reserved: no organisation has such an id.
pub const SYSTEM_POLICIES: &str = "policy/system/";

/// A policy of the system. Its shorthand is of the organisation in which it is attached, so that it
/// never speaks of another one's resources.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct SystemPolicy(u8); // INVARIANT: an index into `TABLE`

struct Entry {
    id: &'static str,
    name: &'static str,
    description: &'static str,
    text: &'static str,
    /// Whether it may be attached to trusts. Others only limit.
    grants: bool,
}

macro_rules! entries {
    ($($id:literal $name:literal $grants:literal $description:literal;)*) => {
        &[$(Entry {
            id: $id,
            name: $name,
            description: $description,
            text: include_str!(concat!("../policies/", $id, ".json")),
            grants: $grants,
        }),*]
    };
}

const TABLE: &[Entry] = entries! {
    "iam-read-only" "IamReadOnly" true
        "See every identity, trust and policy and ask who may do what; change nothing.";
    "kvdb-full-access" "KvdbFullAccess" true
        "Everything with databases: every command, and creating, changing and deleting databases.";
    "kvdb-monitoring" "KvdbMonitoring" true
        "What a metrics exporter asks: health, statistics and slow commands; no key.";
    "kvdb-no-dangerous" "KvdbNoDangerous" true
        "Every command but those of the server's category @dangerous, which it denies whatever else allows.";
    "kvdb-queue-worker" "KvdbQueueWorker" true
        "What a worker needs: jobs in lists, streams and sorted sets, their state, waiting and signals.";
    "kvdb-read-only" "KvdbReadOnly" true
        "Read every type of key, listen to channels, look at databases; write nothing.";
    "kvdb-read-write" "KvdbReadWrite" true
        "Read and write every type of key, publish and subscribe; no flush, no scripts, no administration.";
    "org-administrator" "OrgAdministrator" true
        "Everything in the organisation.";
    "own-organisation-only" "OwnOrganisationOnly" false
        "A guardrail: nothing of another organisation, whoever accepts it there.";
};

impl SystemPolicy {
    /// Every one, by id.
    pub fn all() -> impl Iterator<Item = Self> {
        (0..=u8::MAX).take(TABLE.len()).map(Self)
    }

    fn entry(self) -> &'static Entry {
        &TABLE[usize::from(self.0)]
    }

    /// `kvdb-full-access`
    #[must_use]
    pub fn id(self) -> &'static str {
        self.entry().id
    }

    /// `KvdbFullAccess`
    #[must_use]
    pub fn name(self) -> &'static str {
        self.entry().name
    }

    /// What it is for, in one sentence.
    #[must_use]
    pub fn description(self) -> &'static str {
        self.entry().description
    }

    /// The document.
    #[must_use]
    pub fn text(self) -> &'static str {
        self.entry().text
    }

    /// Whether it may be attached to trusts; others only limit, as guardrails and boundaries.
    #[must_use]
    pub fn grants(self) -> bool {
        self.entry().grants
    }

    /// `policy/system/kvdb-full-access`
    #[must_use]
    pub fn path(self) -> String {
        format!("{SYSTEM_POLICIES}{}", self.id())
    }

    /// The policy at a path.
    #[must_use]
    pub fn at(path: &str) -> Option<Self> {
        let id = path.strip_prefix(SYSTEM_POLICIES)?;
        Self::all().find(|policy| policy.id() == id)
    }

    /// The policy with this name, whatever its case.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::all().find(|policy| policy.name().eq_ignore_ascii_case(name))
    }

    /// The policy as it reads in an organisation.
    ///
    /// # Errors
    /// None for the policies as they are; a program that was tampered with.
    pub(crate) fn read(self, organisation: &str) -> Result<Arc<Policy>, Findings> {
        let dialect = Some(Dialect::Native);
        documents::read_at(&self.path(), dialect, self.text(), organisation)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_one_reads_and_is_found() {
        for policy in SystemPolicy::all() {
            assert!(policy.read("acme").is_ok(), "{}", policy.id());
            assert_eq!(SystemPolicy::at(&policy.path()), Some(policy));
            assert_eq!(
                SystemPolicy::named(&policy.name().to_uppercase()),
                Some(policy)
            );
            let kebab: String = policy
                .name()
                .chars()
                .flat_map(|c| {
                    let dash = c.is_ascii_uppercase().then_some('-');
                    dash.into_iter().chain([c.to_ascii_lowercase()])
                })
                .collect();
            assert_eq!(kebab.strip_prefix('-'), Some(policy.id()));
        }
        let manual = include_str!("../../../docs/system-policies.md");
        for policy in SystemPolicy::all() {
            let cells = format!("| `{}` | `{}` |", policy.name(), policy.id());
            assert!(manual.contains(&cells), "docs/system-policies.md: {cells}");
        }
        let ids: Vec<_> = SystemPolicy::all().map(SystemPolicy::id).collect();
        assert!(ids.is_sorted(), "{ids:?}");
    }

    /// The actions that the Allow statements of a policy speak of.
    fn allowed(name: &str) -> Vec<&'static str> {
        let policy = SystemPolicy::named(name).and_then(|policy| policy.read("acme").ok());
        let policy = policy.expect("it is one of them");
        let statements = policy.statements().iter();
        let allows = statements.filter(|s| s.effect == keyward_policy::Effect::Allow);
        let actions = allows.flat_map(|s| s.actions.iter().map(|action| action.name()));
        actions.collect()
    }

    #[test]
    fn each_is_part_of_the_next_and_none_administers() {
        for (small, large) in [
            ("KvdbReadOnly", "KvdbReadWrite"),
            ("KvdbQueueWorker", "KvdbReadWrite"),
            ("KvdbReadWrite", "KvdbFullAccess"),
            ("KvdbMonitoring", "KvdbFullAccess"),
            ("IamReadOnly", "OrgAdministrator"),
        ] {
            let (small, large) = (allowed(small), allowed(large));
            let beyond: Vec<_> = small.iter().filter(|name| !large.contains(name)).collect();
            assert!(beyond.is_empty(), "{beyond:?}");
        }
        let commands = keyward_commands::administrative_actions();
        let administers: Vec<_> = commands.iter().map(|action| action.name()).collect();
        for name in [
            "KvdbReadOnly",
            "KvdbReadWrite",
            "KvdbQueueWorker",
            "KvdbMonitoring",
        ] {
            let found = allowed(name);
            assert!(
                !found.iter().any(|action| administers.contains(action)),
                "{name}"
            );
        }
    }
}
