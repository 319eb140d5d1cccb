//! Validation: what is wrong with a document, and what is legal and probably not meant.
//!
//! [`check`] reads a document as the readers do, tells all that they refuse, and beside that
//! warnings of its own, each with a stable code, a place, an explanation and, where there is one, a
//! change that would remove it. Nothing here decides a request, and nothing is changed.

use std::cell::RefCell;
use std::collections::{BTreeSet, HashMap};

use keyward_commands::{ActionBits, action_pattern};

use crate::dialect::{is_acl, of_document};
use crate::finding::Collector;
use crate::{Dialect, Effect, MAX_FINDINGS, Policy, PolicyKind, ResourcePattern, json};

mod acl;
mod conditions;
mod cover;
mod decided;
#[expect(
    dead_code,
    reason = "conditions and vendors' documents are not looked at yet"
)]
mod draft;
mod effects;
mod native;
mod report;
mod rules;
mod shadow;
mod vendor;

pub use report::{Finding, Fix, MAX_LISTED, Region, Related, Report};
pub use rules::{Rule, Severity, rule, rules};

use decided::Types;
use draft::Draft;
use report::Reporter;
use rules::Kind;

/// What a document is checked as.
#[derive(Clone, Copy, Debug)]
pub struct Options<'o> {
    /// Its dialect; detected if not given.
    pub dialect: Option<Dialect>,
    /// Where it will be attached.
    pub kind: PolicyKind,
    /// The id of the organisation that shorthand is of.
    pub organisation: &'o str,
    /// The time, in milliseconds since 1970; without it no date is over.
    pub now: Option<i64>,
    /// The version of the catalogue that it was written for; without it nothing has grown.
    pub catalogue: Option<u32>,
}

/// Checks a document. Never refuses to look: what cannot be read is a finding.
#[must_use]
pub fn check(text: &str, options: &Options<'_>) -> Report {
    let mut out = Reporter::new(text);
    if options
        .dialect
        .map_or_else(|| is_acl(text), |dialect| dialect == Dialect::Acl)
    {
        return acl::check(text, out);
    }
    let read = crate::read_as(options.dialect, text, options.kind, options.organisation);
    let statements = match &read {
        Ok(policy) => Some(policy.statements().len()),
        Err(findings) => {
            out.add_errors(findings);
            None
        }
    };
    let mut ignored = Collector::default();
    if let Some(node) = json::parse(text, &mut ignored)
        && let Some(dialect) = options.dialect.or_else(|| of_document(&node, &mut ignored))
    {
        let mut document = Document::new(text, dialect, options, &node);
        if document.drafts.is_empty() && read.is_ok() {
            let message = "the document has no statement";
            out.add(Kind::EmptyDocument, node.at, "", message);
        }
        if let Ok(policy) = &read {
            document.add_actions(policy);
        }
        conditions::check(&document, &mut out);
        if let Some(since) = options.catalogue {
            growth(&document, since, &mut out);
        }
        if dialect == Dialect::Native {
            native::check(&document, &mut out);
            shadow::check(&document, &mut out);
        } else {
            vendor::check(&document, &node, &mut out);
        }
    }
    out.finish(statements)
}

/// Patterns that mean more than when they were written.
fn growth(document: &Document<'_>, since: u32, out: &mut Reporter<'_>) {
    for draft in &document.drafts {
        for item in &draft.actions.items {
            let more = keyward_commands::grown(item.text, since);
            if !more.is_empty() {
                let message = format!(
                    "{} has grown since catalogue {since}: {}",
                    crate::finding::quoted(item.text),
                    native::names(&more)
                );
                let path = draft.actions.path(&draft.path, item);
                out.add(Kind::CatalogueGrew, item.at, path, message);
            }
        }
    }
}

/// A document and what its parts mean.
struct Document<'d> {
    text: &'d str,
    dialect: Dialect,
    now: Option<i64>,
    kind: PolicyKind,
    organisation: &'d str,
    drafts: Vec<Draft<'d>>,
    /// One of each draft.
    meanings: Vec<Meaning>,
    /// What action patterns mean: large documents repeat them.
    pool: Vec<ActionBits>,
    applicable: RefCell<Vec<(Types, ActionBits)>>,
}

/// What the parts of one statement mean, as far as they mean anything.
struct Meaning {
    /// Of each action pattern, its place in the pool.
    patterns: Vec<Option<u32>>,
    /// All actions that are named.
    actions: ActionBits,
    /// Of each resource pattern.
    resources: Vec<Option<ResourcePattern>>,
    /// Each condition, in one spelling.
    conditions: BTreeSet<u64>,
    /// Every part means something.
    is_whole: bool,
    /// An Allow of everything on everything.
    full: bool,
}

impl<'d> Document<'d> {
    fn new(
        text: &'d str,
        dialect: Dialect,
        options: &Options<'d>,
        node: &'d json::Node<'d>,
    ) -> Self {
        let drafts = draft::statements(text, dialect, node);
        let mut document = Self {
            text,
            dialect,
            now: options.now,
            kind: options.kind,
            organisation: options.organisation,
            meanings: Vec::with_capacity(drafts.len()),
            drafts,
            pool: Vec::new(),
            applicable: RefCell::default(),
        };
        let mut known: HashMap<&str, Option<u32>> = HashMap::new();
        let mut unknown = 0;
        let is_native = dialect == Dialect::Native;
        for draft in &document.drafts {
            let pool = &mut document.pool;
            document.meanings.push(if is_native {
                Meaning::of(draft, options, pool, &mut known, &mut unknown)
            } else {
                Meaning::of_vendor(draft)
            });
        }
        document
    }

    /// Of a vendor's document: the catalogue's actions that each statement speaks of.
    fn add_actions(&mut self, policy: &Policy) {
        if self.dialect != Dialect::Native && policy.statements().len() == self.meanings.len() {
            for (meaning, statement) in self.meanings.iter_mut().zip(policy.statements()) {
                meaning.actions = statement.actions.clone();
            }
        }
    }

    /// The actions that an action pattern of a statement names.
    fn bits(&self, meaning: &Meaning, index: usize) -> Option<&ActionBits> {
        let place = (*meaning.patterns.get(index)?)?;
        self.pool.get(place as usize)
    }

    /// The actions that are decided on any of these types.
    fn applicable(&self, types: Types) -> ActionBits {
        let mut known = self.applicable.borrow_mut();
        if let Some((_, bits)) = known.iter().find(|(known, _)| *known == types) {
            return bits.clone();
        }
        let bits = decided::applicable(types);
        known.push((types, bits.clone()));
        bits
    }
}

impl Meaning {
    fn of_vendor(draft: &Draft<'_>) -> Self {
        Self {
            patterns: Vec::new(),
            actions: ActionBits::EMPTY,
            resources: Vec::new(),
            conditions: draft.wanted.iter().map(in_one_spelling).collect(),
            is_whole: false,
            full: false,
        }
    }

    fn of<'d>(
        draft: &Draft<'d>,
        options: &Options<'_>,
        pool: &mut Vec<ActionBits>,
        known: &mut HashMap<&'d str, Option<u32>>,
        unknown: &mut usize,
    ) -> Self {
        let mut actions = ActionBits::EMPTY;
        let mut patterns = Vec::with_capacity(draft.actions.items.len());
        for item in &draft.actions.items {
            let place = *known.entry(item.text).or_insert_with(|| {
                // A name that means nothing is long looked for; the reader told of so many.
                if *unknown > MAX_FINDINGS {
                    return None;
                }
                let Ok(bits) = action_pattern(item.text) else {
                    *unknown += 1;
                    return None;
                };
                pool.push(bits);
                u32::try_from(pool.len() - 1).ok()
            });
            if let Some(bits) = place.and_then(|place| pool.get(place as usize)) {
                actions = actions.union(bits);
            }
            patterns.push(place);
        }
        let parse =
            |item: &draft::Item<'_>| ResourcePattern::parse(item.text, options.organisation).ok();
        let resources: Vec<_> = draft.resources.items.iter().map(parse).collect();
        let has_where = match options.kind {
            PolicyKind::Identity => !resources.is_empty(),
            PolicyKind::Resource => !draft.identities.items.is_empty(),
        };
        let is_whole = draft.effect.is_some()
            && has_where
            && !patterns.is_empty()
            && patterns.iter().all(Option::is_some)
            && resources.iter().all(Option::is_some);
        let everything = |pattern: &ResourcePattern| {
            pattern.full().ends_with("/**") && Types::under(pattern) == Types::ALL
        };
        let full = draft.is(Effect::Allow)
            && keyward_commands::ActionId::all().all(|action| actions.contains(action))
            && resources.iter().flatten().any(everything);
        Self {
            patterns,
            actions,
            resources,
            conditions: draft.wanted.iter().map(in_one_spelling).collect(),
            is_whole,
            full,
        }
    }
}

/// A condition as a number that is the same for the same condition: the order of values means
/// nothing.
fn in_one_spelling(wanted: &draft::Wanted<'_>) -> u64 {
    use std::hash::{DefaultHasher, Hash, Hasher};
    let mut values: Vec<&str> = wanted.values.iter().map(|value| &*value.text).collect();
    values.sort_unstable();
    let mut hasher = DefaultHasher::new();
    (wanted.operator, wanted.key, values).hash(&mut hasher);
    hasher.finish()
}
