//! Conditions: what a statement asks of a request beyond its action, resource and keys.
//!
//! A statement's conditions are clauses, all of which must hold. The operators, and what they
//! answer for missing keys, several values and negation, are those of the AWS policy language
//! ("IAM JSON policy elements: Condition operators"); Tencent's and Alibaba's have fewer, and
//! answer for missing keys so that nothing is allowed by it. `GlobLike` and `GlobNotLike` are
//! Keyward's own: the server's pattern syntax.

use std::net::IpAddr;

mod key;
mod operator;
mod pattern;

pub(crate) use key::NATIVE_NAMES;
pub use key::{ConditionKey, Fact, FactKind};
pub use operator::{Operator, SetOperator};

use crate::facts::{Facts, Found, Value};
use crate::template::{Expanded, Template, TemplateError};
use crate::{ChannelUse, Dialect, Effect, Glob, Number, Wildcard};
use pattern::Pattern;

/// Most values of one clause.
pub const MAX_VALUES: usize = 10_000;

/// Why a clause is wrong.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct ClauseError {
    /// Which of the values, if it is one of them.
    pub value: Option<usize>,
    /// What is wrong, and what would be right.
    pub message: String,
}

/// One operator on one key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Clause {
    /// What is compared, and how.
    pub operator: Operator,
    /// How several values of the request count.
    pub set: Option<SetOperator>,
    /// Whether a missing key satisfies it.
    pub if_exists: bool,
    /// What of the request is compared.
    pub key: ConditionKey,
    dialect: Dialect,
    /// The values as they were written.
    templates: Box<[Template]>,
    /// The values without variables, compiled; `None` in place of one with variables.
    patterns: Box<[Option<Pattern>]>,
    /// Whether no value has variables.
    fixed: bool,
}

/// A value of a condition, as it is compared.
#[derive(Clone, Debug, PartialEq)]
pub enum Wanted<'a> {
    /// The same text.
    Text(&'a str),
    /// The same text in lower case.
    IgnoringCase(&'a str),
    /// A pattern of `*` and `?`.
    Like(&'a Wildcard),
    /// A pattern in the server's syntax.
    Glob(&'a Glob),
    /// A number.
    Number(Number),
    /// Milliseconds since 1970.
    Time(i64),
    /// A truth value.
    Boolean(bool),
    /// These bytes.
    Bytes(&'a [u8]),
    /// A network: its address, and how many leading bits of it count.
    Network(IpAddr, u8),
    /// Six patterns, one for each part of an ARN; none for the lone `*`.
    Arn(Option<&'a [Wildcard; 6]>),
}

/// What a list of wanted values says about one value of the request.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Compared {
    /// It matches one of them.
    Yes,
    /// It matches none.
    No,
    /// It is no value of the operator's type, or a variable is missing.
    Unclear,
}

impl Clause {
    /// Compiles a clause.
    ///
    /// # Errors
    /// A value that the operator cannot compare with, or no value at all.
    pub fn new(
        dialect: Dialect,
        operator: Operator,
        set: Option<SetOperator>,
        if_exists: bool,
        key: ConditionKey,
        values: Vec<Template>,
    ) -> Result<Self, ClauseError> {
        let whole = |message: String| ClauseError {
            value: None,
            message,
        };
        if values.is_empty() {
            return Err(whole("no value to compare with".to_owned()));
        }
        if values.len() > MAX_VALUES {
            let message = format!("{} values: at most {MAX_VALUES}", values.len());
            return Err(whole(message));
        }
        if operator == Operator::Null && (if_exists || set.is_some()) {
            return Err(whole(
                "`Null` stands alone, without `IfExists` and set operators".to_owned(),
            ));
        }
        let compile = |(i, template): (usize, &Template)| {
            let wrong = |message: String| ClauseError {
                value: Some(i),
                message,
            };
            if !template.is_fixed() {
                if operator.takes_variables() {
                    return Ok(None);
                }
                let message = format!("`{}` takes no variables", operator.name());
                return Err(wrong(message));
            }
            match template.expand(&crate::facts::NoFacts) {
                Expanded::Pieces(pieces) => {
                    Pattern::compile(operator, &pieces).map(Some).map_err(wrong)
                }
                Expanded::Missing | Expanded::Later => Ok(None),
            }
        };
        let patterns = values.iter().enumerate().map(compile);
        let patterns: Vec<Option<Pattern>> = patterns.collect::<Result<_, _>>()?;
        Ok(Self {
            operator,
            set,
            if_exists,
            key,
            dialect,
            templates: values.into(),
            fixed: patterns.iter().all(Option::is_some),
            patterns: patterns.into(),
        })
    }

    /// Reads the values of a dialect's document; see [`Clause::new`].
    ///
    /// # Errors
    /// Also what begins as a variable and is none.
    pub fn parse(
        dialect: Dialect,
        operator: Operator,
        set: Option<SetOperator>,
        if_exists: bool,
        key: ConditionKey,
        values: &[&str],
    ) -> Result<Self, ClauseError> {
        let template = |(i, text): (usize, &&str)| {
            Template::parse(dialect, text).map_err(|error: TemplateError| ClauseError {
                value: Some(i),
                message: error.to_string(),
            })
        };
        let templates = values.iter().enumerate().map(template);
        let templates = templates.collect::<Result<_, _>>()?;
        Self::new(dialect, operator, set, if_exists, key, templates)
    }

    /// The values as they were written.
    pub fn values(&self) -> &[Template] {
        &self.templates
    }

    /// The dialect whose rules it follows.
    pub fn dialect(&self) -> Dialect {
        self.dialect
    }

    /// Its operator as documents write it: `ForAllValues:StringLikeIfExists`.
    pub fn operator_name(&self) -> String {
        let set = match self.set {
            Some(SetOperator::ForAllValues) => "ForAllValues:",
            Some(SetOperator::ForAnyValue) => "ForAnyValue:",
            None => "",
        };
        let if_exists = if self.if_exists { "IfExists" } else { "" };
        format!("{set}{}{if_exists}", self.operator.name())
    }

    /// The values as server patterns, if it asks that one of them matches, compares text and has
    /// no variables: what an index over keys can take.
    pub fn globs(&self) -> Option<Vec<Glob>> {
        let plain = self.set.is_none() && !self.if_exists && !self.operator.is_negated();
        let bytewise = |pattern: &Pattern| match pattern {
            Pattern::Like(wanted) => wanted.is_bytewise(),
            _ => true,
        };
        if !plain || !self.patterns.iter().flatten().all(bytewise) {
            return None;
        }
        self.patterns
            .iter()
            .map(|pattern| pattern.as_ref()?.to_glob(self.operator))
            .collect()
    }

    /// The values as they are compared; `None` in place of one with variables.
    pub fn wanted(&self) -> impl Iterator<Item = Option<Wanted<'_>>> {
        self.patterns
            .iter()
            .map(|pattern| pattern.as_ref().map(Pattern::wanted))
    }

    /// Whether it holds for a request, in a statement with this effect. `None` if that depends on
    /// what is not known yet.
    pub fn holds(&self, effect: Effect, facts: &dyn Facts) -> Option<bool> {
        let deny = effect == Effect::Deny;
        let found = facts.find(&self.key);
        if let Some(value) = self.lone_value(found) {
            // What most commands ask: nothing below says otherwise of one value.
            return Some(self.satisfied(deny, self.compare(&self.patterns, &value)));
        }
        if matches!(found, Found::Later) {
            return None;
        }
        if self.operator == Operator::Null {
            return Some(self.null_holds(deny, found));
        }
        let aws = self.dialect == Dialect::Aws;
        let found = match found {
            Found::Texts([]) => Found::Absent,
            Found::Keys { keys, access } if !keys.iter().any(|key| access.includes(key)) => {
                Found::Absent
            }
            Found::Channels([]) => Found::Absent,
            // A text without characters counts as no value at all (AWS, for all values).
            Found::Texts([only])
                if only.is_empty() && self.set == Some(SetOperator::ForAllValues) && aws =>
            {
                Found::Absent
            }
            Found::One(Value::Text(b"")) if self.set == Some(SetOperator::ForAllValues) && aws => {
                Found::Absent
            }
            found => found,
        };
        // Variables are put in once for all values.
        let expanded;
        let patterns = if self.fixed {
            &self.patterns
        } else {
            expanded = self.expanded(facts)?;
            &expanded
        };
        if self.dialect == Dialect::Native && patterns.iter().any(Option::is_none) {
            // A variable that is missing matches nothing in an Allow and everything in a Deny.
            if deny || self.operator.is_negated() {
                return Some(deny);
            }
        }
        let of_touch = self.key.fact().is_of_touch();
        Some(match found {
            Found::Later => return None,
            Found::Absent => self.missing(deny),
            Found::Every => deny || self.covers_everything(patterns),
            Found::One(value) => self.satisfied(deny, self.compare(patterns, &value)),
            // To AWS a list of one value is a list.
            Found::Texts([only]) if !aws => {
                self.satisfied(deny, self.compare(patterns, &Value::Text(only)))
            }
            Found::Texts(values) => {
                let one = |value: &Vec<u8>| {
                    self.satisfied(deny, self.compare(patterns, &Value::Text(value)))
                };
                self.joined(deny, of_touch, values.iter().map(one))
            }
            Found::Keys { keys, access } => {
                let one = |key: &crate::KeyUse<'_>| {
                    self.satisfied(deny, self.compare(patterns, &Value::Text(key.key)))
                };
                let meant = keys.iter().filter(|key| access.includes(key));
                self.joined(deny, of_touch, meant.map(one))
            }
            Found::Channels(channels) => {
                let one = |channel: &ChannelUse<'_>| {
                    if channel.pattern {
                        return self.channel_pattern(deny, patterns, channel.channel);
                    }
                    self.satisfied(deny, self.compare(patterns, &Value::Text(channel.channel)))
                };
                self.joined(deny, of_touch, channels.iter().map(one))
            }
        })
    }

    /// The value of a request that has just one, for a clause that only compares it.
    #[inline]
    fn lone_value<'f>(&self, found: Found<'f>) -> Option<Value<'f>> {
        if !self.fixed || self.set.is_some() || self.operator == Operator::Null {
            return None;
        }
        match found {
            Found::One(value) => Some(value),
            Found::Keys {
                keys: [key],
                access,
            } if access.includes(key) => Some(Value::Text(key.key)),
            _ => None,
        }
    }

    fn null_holds(&self, deny: bool, found: Found<'_>) -> bool {
        let absent = match found {
            Found::Every if deny => return true,
            Found::Absent => true,
            Found::Texts(values) => {
                let empty = |value: &Vec<u8>| value.is_empty() && self.dialect == Dialect::Tencent;
                values.iter().all(empty)
            }
            Found::One(Value::Text(b"")) => self.dialect == Dialect::Tencent,
            Found::Keys { keys, access } => !keys.iter().any(|key| access.includes(key)),
            Found::Channels(channels) => channels.is_empty(),
            _ => false,
        };
        self.patterns.contains(&Some(Pattern::Boolean(absent)))
    }

    /// What it answers if the request has no such key.
    fn missing(&self, deny: bool) -> bool {
        match self.set {
            _ if self.if_exists => true,
            Some(SetOperator::ForAllValues) => true,
            Some(SetOperator::ForAnyValue) => false,
            None if !self.operator.is_negated() => false,
            None => match self.dialect {
                // Not documented: nothing is allowed by it, and a Deny stays.
                Dialect::Tencent | Dialect::Alibaba => deny,
                _ => true,
            },
        }
    }

    /// Joins what is said about each of several values, at least one.
    fn joined(&self, deny: bool, of_touch: bool, mut each: impl ExactOrNot) -> bool {
        match self.set {
            Some(SetOperator::ForAllValues) => each.all(|holds| holds),
            Some(SetOperator::ForAnyValue) => each.any(|holds| holds),
            None => {
                // AWS: a plain operator does not match a list of values. Keys are Keyward's own and
                // mean in every dialect what the key fields mean.
                if self.dialect == Dialect::Aws && !of_touch {
                    return false;
                }
                if deny {
                    each.any(|holds| holds)
                } else {
                    each.all(|holds| holds)
                }
            }
        }
    }

    /// Whether one value that compares so satisfies the operator.
    fn satisfied(&self, deny: bool, compared: Compared) -> bool {
        match (compared, self.operator.is_negated()) {
            (Compared::Yes, negated) => !negated,
            (Compared::No, negated) => negated,
            // Nothing is allowed by what cannot be compared, and a Deny stays.
            (Compared::Unclear, true) => deny,
            (Compared::Unclear, false) => deny && self.dialect != Dialect::Aws,
        }
    }

    fn compare(&self, patterns: &[Option<Pattern>], value: &Value<'_>) -> Compared {
        let mut compared = Compared::No;
        for pattern in patterns.iter().flatten() {
            match pattern.matches(self.operator, value) {
                Some(true) => return Compared::Yes,
                Some(false) => {}
                None => compared = Compared::Unclear,
            }
        }
        compared
    }

    /// A pattern as argument stands for every channel that it matches: in an Allow all of them
    /// must satisfy the operator, in a Deny one that may is enough.
    fn channel_pattern(&self, deny: bool, patterns: &[Option<Pattern>], pattern: &[u8]) -> bool {
        let mut globs = patterns.iter().flatten().map(|p| p.to_glob(self.operator));
        let covers = |glob: Option<Glob>| {
            glob.is_some_and(|glob| {
                glob.is_everything() || (glob.as_exact().is_none() && glob.text() == pattern)
            })
        };
        let meets =
            |glob: Option<Glob>| glob.is_none_or(|glob| Glob::any_may_overlap([&glob], pattern));
        match (self.operator.is_negated(), deny) {
            (false, false) => globs.any(covers),
            (false, true) => globs.any(meets),
            (true, false) => !globs.any(meets),
            (true, true) => !globs.any(covers),
        }
    }

    /// Whether it holds for every key, whatever it is: in an Allow only by the pattern `*`.
    fn covers_everything(&self, patterns: &[Option<Pattern>]) -> bool {
        !self.operator.is_negated()
            && patterns
                .iter()
                .flatten()
                .any(|pattern| pattern.is_everything())
    }

    /// The values with their variables put in; `None` in place of one whose variable is missing.
    /// `None` as a whole if one is not known yet.
    fn expanded(&self, facts: &dyn Facts) -> Option<Box<[Option<Pattern>]>> {
        let one = |(template, pattern): (&Template, &Option<Pattern>)| {
            if pattern.is_some() {
                return Some(pattern.clone());
            }
            match template.expand(facts) {
                Expanded::Later => None,
                Expanded::Missing => Some(None),
                Expanded::Pieces(pieces) => Some(Pattern::compile(self.operator, &pieces).ok()),
            }
        };
        self.templates.iter().zip(&self.patterns).map(one).collect()
    }

    /// The clause with its variables put in, if all are known.
    pub fn resolved(&self, facts: &dyn Facts) -> Option<Self> {
        let patterns = self.expanded(facts)?;
        Some(Self {
            fixed: patterns.iter().all(Option::is_some),
            patterns,
            ..self.clone()
        })
    }

    /// If its key is a moment: the moments, in milliseconds since 1970, at which its answer may
    /// change; `None` where they are not known because it compares text.
    pub fn boundaries(&self) -> impl Iterator<Item = Option<i64>> + '_ {
        self.patterns.iter().map(|pattern| match pattern {
            Some(Pattern::Time(time)) => Some(*time),
            Some(Pattern::Number(number)) => number.to_milli(),
            _ => None,
        })
    }

    /// Bytes on the heap, about.
    pub fn heap_bytes(&self) -> usize {
        let texts = self.templates.iter().map(|template| template.text().len());
        size_of_val(&*self.templates)
            + size_of_val(&*self.patterns)
            + self.key.name().len()
            + texts.sum::<usize>()
    }
}

/// An iterator over truth values.
trait ExactOrNot: Iterator<Item = bool> {}
impl<I: Iterator<Item = bool>> ExactOrNot for I {}

/// What a statement asks of a request: all clauses.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Conditions(Box<[Clause]>);

impl Conditions {
    /// All of these.
    pub fn new(clauses: Vec<Clause>) -> Self {
        Self(clauses.into())
    }

    /// The clauses in the order of the document.
    pub fn clauses(&self) -> &[Clause] {
        &self.0
    }

    /// Whether all hold. `None` if that depends on what is not known yet.
    pub fn holds(&self, effect: Effect, facts: &dyn Facts) -> Option<bool> {
        let mut known = Some(true);
        for clause in &self.0 {
            match clause.holds(effect, facts) {
                Some(true) => {}
                Some(false) => return Some(false),
                None => known = None,
            }
        }
        known
    }

    /// How many values a request may have to be compared with.
    pub fn weight(&self) -> usize {
        self.0.iter().map(|clause| clause.values().len()).sum()
    }

    /// Bytes on the heap, about.
    pub fn heap_bytes(&self) -> usize {
        size_of_val(&*self.0) + self.0.iter().map(Clause::heap_bytes).sum::<usize>()
    }
}

#[cfg(test)]
mod tests;
