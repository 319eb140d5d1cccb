//! Conditions that are legal and probably wrong, in every dialect.

use std::collections::HashMap;
use std::net::IpAddr;

use keyward_commands::{ActionBits, ActionId, Argument, ChannelRule, CommandScope, FindKeys};

use crate::check::Document;
use crate::check::cover::covered_globs;
use crate::check::draft::{Draft, Item, Wanted, WantedValue, token_end};
use crate::check::native::{looks_like_regex, names};
use crate::check::report::Reporter;
use crate::check::rules::Kind;
use crate::condition::{ConditionKey, Fact, FactKind, Operator, SetOperator};
use crate::finding::quoted;
use crate::number::Number;
use crate::{Dialect, Effect, Glob, time};

/// Tencent's names of operators.
const TENCENT: &[(&str, Operator)] = &[
    ("string_equal", Operator::StringEquals),
    ("string_not_equal", Operator::StringNotEquals),
    ("string_equal_ignore_case", Operator::StringEqualsIgnoreCase),
    (
        "string_not_equal_ignore_case",
        Operator::StringNotEqualsIgnoreCase,
    ),
    ("string_like", Operator::StringLike),
    ("string_not_like", Operator::StringNotLike),
    ("numeric_equal", Operator::NumericEquals),
    ("numeric_not_equal", Operator::NumericNotEquals),
    ("numeric_less_than", Operator::NumericLessThan),
    ("numeric_less_than_equal", Operator::NumericLessThanEquals),
    ("numeric_greater_than", Operator::NumericGreaterThan),
    (
        "numeric_greater_than_equal",
        Operator::NumericGreaterThanEquals,
    ),
    ("date_equal", Operator::DateEquals),
    ("date_not_equal", Operator::DateNotEquals),
    ("date_less_than", Operator::DateLessThan),
    ("date_less_than_equal", Operator::DateLessThanEquals),
    ("date_greater_than", Operator::DateGreaterThan),
    ("date_greater_than_equal", Operator::DateGreaterThanEquals),
    ("bool_equal", Operator::Bool),
    ("binary_equal", Operator::StringEquals),
    ("ip_equal", Operator::IpAddress),
    ("ip_not_equal", Operator::NotIpAddress),
    ("null_equal", Operator::Null),
];

/// One operator on one key, understood.
struct Term<'w, 'd> {
    wanted: &'w Wanted<'d>,
    set: Option<SetOperator>,
    operator: Operator,
    if_exists: bool,
    key: ConditionKey,
    path: String,
}

/// `ForAllValues:StringLikeIfExists`, or `for_all_value:string_like_if_exist`.
fn parse_operator(dialect: Dialect, name: &str) -> Option<(Option<SetOperator>, Operator, bool)> {
    let (set, rest) = match name.split_once(':') {
        Some(("ForAllValues" | "for_all_value", rest)) => (Some(SetOperator::ForAllValues), rest),
        Some(("ForAnyValue" | "for_any_value", rest)) => (Some(SetOperator::ForAnyValue), rest),
        Some(_) => return None,
        None => (None, name),
    };
    let (by_name, suffix): (fn(&str) -> Option<Operator>, &str) = match dialect {
        Dialect::Tencent => (
            |name| {
                let found = TENCENT.iter().find(|(known, _)| *known == name)?;
                Some(found.1)
            },
            "_if_exist",
        ),
        _ => (Operator::by_name, "IfExists"),
    };
    if let Some(operator) = by_name(rest) {
        return Some((set, operator, false));
    }
    let operator = by_name(rest.strip_suffix(suffix)?)?;
    Some((set, operator, true))
}

/// An operator's name in a dialect.
fn operator_name(dialect: Dialect, operator: Operator) -> &'static str {
    if dialect == Dialect::Tencent {
        let found = TENCENT.iter().find(|(_, known)| *known == operator);
        return found.map_or("string_like", |(name, _)| name);
    }
    operator.name()
}

impl<'w, 'd> Term<'w, 'd> {
    fn of(dialect: Dialect, draft: &Draft<'d>, wanted: &'w Wanted<'d>) -> Option<Self> {
        let (set, operator, if_exists) = parse_operator(dialect, wanted.operator)?;
        Some(Self {
            set,
            operator,
            if_exists,
            key: ConditionKey::new(dialect, wanted.key),
            path: wanted.path(&draft.path, draft.condition_name()),
            wanted,
        })
    }

    /// Its values, if none holds a variable.
    fn fixed(&self) -> Option<Vec<&str>> {
        let values = self.wanted.values.iter();
        values
            .map(|value| (!value.text.contains("${")).then_some(&*value.text))
            .collect()
    }

    fn value_path(&self, draft: &Draft<'_>, index: usize) -> String {
        self.wanted
            .value_path(&draft.path, draft.condition_name(), index)
    }

    fn is(&self, operators: &[Operator]) -> bool {
        operators.contains(&self.operator)
    }

    fn name(&self) -> String {
        quoted(self.wanted.key)
    }

    /// Needs the request to have the key.
    fn needs_presence(&self) -> bool {
        match self.operator {
            Operator::Null => self.wanted.values.iter().all(|value| value.text == "false"),
            _ if self.if_exists => false,
            operator => match self.set {
                Some(SetOperator::ForAllValues) => false,
                Some(SetOperator::ForAnyValue) => true,
                None => !operator.is_negated(),
            },
        }
    }
}

/// All of it, for every statement.
pub(crate) fn check(document: &Document<'_>, out: &mut Reporter<'_>) {
    for (at, draft) in document.drafts.iter().enumerate() {
        if draft.wanted.is_empty() {
            continue;
        }
        let terms: Vec<Term<'_, '_>> = draft
            .wanted
            .iter()
            .filter_map(|wanted| Term::of(document.dialect, draft, wanted))
            .collect();
        for term in &terms {
            values(document, draft, term, out);
            addresses(document, draft, term, out);
            dates(document, draft, term, out);
            types(document, term, out);
            if let Some(effect) = draft.effect {
                let actions = &document.meanings[at].actions;
                sets(document, (effect, actions), draft, &terms, term, out);
                missing(document, effect, draft, &terms, term, out);
                caller_chosen(effect, term, out);
                restricts_nothing(effect, term, out);
            }
            never_has(document, at, term, out);
        }
        unsatisfiable(document, draft, &terms, out);
    }
}

/// `ForAllValues:` and `ForAnyValue:` in the wrong place, or missing.
fn sets(
    document: &Document<'_>,
    (effect, actions): (Effect, &ActionBits),
    draft: &Draft<'_>,
    terms: &[Term<'_, '_>],
    term: &Term<'_, '_>,
    out: &mut Reporter<'_>,
) {
    if term.operator == Operator::Null {
        return;
    }
    let of_touch = term.key.fact().is_of_touch();
    let (at, path) = (term.wanted.operator_at, &*term.path);
    let key = term.name();
    let plain = term
        .wanted
        .operator
        .rsplit_once(':')
        .map_or(term.wanted.operator, |(_, plain)| plain);
    let end = token_end(document.text, at);
    let alone = is_alone(draft, term, plain);
    match (term.set, effect) {
        (Some(SetOperator::ForAnyValue), Effect::Allow) if of_touch => {
            let message = format!(
                "`ForAnyValue` on {key} in an Allow: one fitting key lets the others of the command \
                 through"
            );
            let added = out.add(Kind::AnyKeyInAllow, at, path, message);
            if alone && document.dialect == Dialect::Native {
                added.fix("ask for every key", at, end, format!("\"{plain}\""));
            }
        }
        (Some(SetOperator::ForAllValues), Effect::Deny) if of_touch => {
            let message = format!(
                "`ForAllValues` on {key} in a Deny: one harmless key beside the others and nothing \
                 is denied"
            );
            let added = out.add(Kind::AllKeysInDeny, at, path, message);
            if alone && document.dialect == Dialect::Native {
                added.fix("deny any key", at, end, format!("\"{plain}\""));
            }
        }
        (Some(SetOperator::ForAllValues), Effect::Allow) if !is_guarded(terms, term) => {
            let what = if of_touch {
                "commands without keys pass"
            } else {
                "requests without a value pass"
            };
            let message =
                format!("`ForAllValues` on {key} in an Allow also holds without a value: {what}");
            out.add(Kind::VacuousForAllValues, at, path, message);
        }
        (Some(set), _) if !has_several(&term.key) => {
            let message =
                format!("`{set:?}` on {key}, which has one value: write the plain operator");
            let added = out.add(Kind::SetOnSingle, at, path, message);
            if alone && document.dialect != Dialect::Tencent {
                added.fix("leave it out", at, end, format!("\"{plain}\""));
            }
        }
        (None, _)
            if document.dialect != Dialect::Native
                && has_several(&term.key)
                && (!of_touch || effect == Effect::Deny && several_keys(actions)) =>
        {
            let message = format!(
                "{key} may have several values, and a plain operator matches only one: write \
                 `ForAnyValue:` or `ForAllValues:`"
            );
            out.add(Kind::PlainOnSeveral, at, path, message);
        }
        _ => {}
    }
}

/// Can one call of some of the actions have several keys or channels?
fn several_keys(actions: &ActionBits) -> bool {
    actions.iter().any(|action| {
        let Some(command) = action.command().map(|id| id.command()) else {
            return false;
        };
        let one = matches!(
            command.key_specs,
            [spec] if matches!(spec.find, FindKeys::Range { last: 0, .. })
        );
        let channels = !matches!(command.channels, ChannelRule::None | ChannelRule::One(_));
        channels || !(one || command.key_specs.is_empty())
    })
}

/// Is there one key under the operator, and no other entry with the name it would get?
fn is_alone(draft: &Draft<'_>, term: &Term<'_, '_>, name: &str) -> bool {
    let under = draft
        .wanted
        .iter()
        .filter(|wanted| wanted.operator_at == term.wanted.operator_at);
    let taken = draft.wanted.iter().any(|wanted| wanted.operator == name);
    under.count() == 1 && !taken
}

/// Does `Null` ask for the key to be there?
fn is_guarded(terms: &[Term<'_, '_>], term: &Term<'_, '_>) -> bool {
    terms.iter().any(|other| {
        other.operator == Operator::Null
            && other.key.folded() == term.key.folded()
            && other
                .wanted
                .values
                .iter()
                .all(|value| value.text == "false")
    })
}

/// Can one request have several values of it?
fn has_several(key: &ConditionKey) -> bool {
    const OTHERS: [&str; 6] = [
        "aws:principalorgpaths",
        "aws:resourceorgpaths",
        "aws:calledvia",
        "sts:transitivetagkeys",
        "aws:principalservicenameslist",
        "saml:edupersonorgdn",
    ];
    key.fact().is_of_touch()
        || matches!(
            key.fact(),
            Fact::TagKeys | Fact::ResourceTagPairs | Fact::RequestTagPairs
        )
        || (*key.fact() == Fact::Other && OTHERS.contains(&key.folded()))
}

/// Is it part of every request?
fn is_always_there(fact: &Fact) -> bool {
    matches!(
        fact,
        Fact::SourceIp
            | Fact::SecureTransport
            | Fact::CurrentTime
            | Fact::EpochTime
            | Fact::PrincipalType
            | Fact::ResourcePath
            | Fact::ResourceId
            | Fact::ResourceOrganisation
            | Fact::ResourceAccount
    )
}

/// What happens where the request does not have the key.
fn missing(
    document: &Document<'_>,
    effect: Effect,
    draft: &Draft<'_>,
    terms: &[Term<'_, '_>],
    term: &Term<'_, '_>,
    out: &mut Reporter<'_>,
) {
    if term.operator == Operator::Null || term.set.is_some() {
        return;
    }
    let (at, path) = (term.wanted.operator_at, &*term.path);
    let key = term.name();
    let fact = term.key.fact();
    let aws_like = matches!(document.dialect, Dialect::Aws | Dialect::Native);
    let negated = term.operator.is_negated();
    let end = token_end(document.text, at);
    if negated && term.if_exists && (aws_like || effect == Effect::Deny) {
        let message = format!(
            "`IfExists` changes nothing: `{}` holds for missing keys anyway",
            { operator_name(document.dialect, term.operator) }
        );
        let plain = term.wanted.operator.strip_suffix("IfExists");
        let added = out.add(Kind::NegatedIfExists, at, path, message);
        if let Some(plain) = plain.filter(|plain| is_alone(draft, term, plain)) {
            added.fix("leave it out", at, end, format!("\"{plain}\""));
        }
    }
    let holds_without = negated && (aws_like || term.if_exists);
    let may_miss = !is_always_there(fact) && !fact.is_of_touch();
    if effect == Effect::Allow && holds_without && may_miss && !is_guarded(terms, term) {
        let message = format!("the Allow also holds for requests that have no {key}");
        out.add(Kind::NegatedAllow, at, path, message);
    }
    let second_factor = match fact {
        Fact::MultiFactorAuthPresent => {
            let no = |value: &WantedValue<'_>| matches!(&*value.text, "false" | "False" | "0");
            term.wanted.values.iter().any(no)
        }
        Fact::MultiFactorAuthAge | Fact::TokenAge => true,
        _ => false,
    };
    if effect == Effect::Deny && !negated && !term.if_exists && second_factor {
        let message = format!(
            "{key} is missing in requests by access keys: this Deny does not hold for them"
        );
        let suffix = if document.dialect == Dialect::Tencent {
            "_if_exist"
        } else {
            "IfExists"
        };
        let wanted = format!("{}{suffix}", term.wanted.operator);
        let added = out.add(Kind::VanishingDeny, at, path, message);
        if document.dialect != Dialect::Alibaba && is_alone(draft, term, &wanted) {
            added.fix("deny without it, too", at, end, format!("\"{wanted}\""));
        }
    }
}

fn caller_chosen(effect: Effect, term: &Term<'_, '_>, out: &mut Reporter<'_>) {
    let referer = term.key.folded() == "aws:referer";
    if term.operator == Operator::Null || !(*term.key.fact() == Fact::ClientName || referer) {
        return;
    }
    let what = match effect {
        Effect::Allow => "whoever says the right name is allowed",
        Effect::Deny => "whoever says another name is not denied",
    };
    let message = format!("the client chooses {} itself: {what}", term.name());
    out.add(Kind::CallerChosen, term.wanted.key_at, &*term.path, message);
}

/// Conditions of an Allow that exclude nothing.
fn restricts_nothing(effect: Effect, term: &Term<'_, '_>, out: &mut Reporter<'_>) {
    use Operator as O;
    if effect != Effect::Allow || term.operator.is_negated() {
        return;
    }
    let pattern = term.is(&[O::StringLike, O::GlobLike, O::ArnLike, O::ArnEquals]);
    let Some(value) = term.wanted.values.iter().find(|value| value.text == "*") else {
        let smallest = term
            .wanted
            .values
            .iter()
            .filter_map(|value| Some((Number::parse(&value.text)?, value)))
            .min_by_key(|(number, _)| *number);
        let never_negative = matches!(
            term.key.fact(),
            Fact::ValueBytes | Fact::KeyCount | Fact::Count | Fact::DatabaseIndex
        );
        if let Some((number, value)) = smallest
            && never_negative
            && term.set.is_none()
            && (term.operator == O::NumericGreaterThanEquals && number <= Number::from_i64(0)
                || term.operator == O::NumericGreaterThan && number < Number::from_i64(0))
        {
            let message = format!("{} is never negative: every value passes", term.name());
            out.add(Kind::PassesCondition, value.at, &*term.path, message);
        }
        return;
    };
    if pattern {
        let message = format!("`*` matches every value of {}", term.name());
        out.add(Kind::PassesCondition, value.at, &*term.path, message);
    }
}

/// What is wrong with single values.
fn values(document: &Document<'_>, draft: &Draft<'_>, term: &Term<'_, '_>, out: &mut Reporter<'_>) {
    use Operator as O;
    let items: Vec<Item<'_>> = term
        .wanted
        .values
        .iter()
        .enumerate()
        .map(|(index, value)| Item {
            index,
            at: value.at,
            text: &value.text,
        })
        .collect();
    let starts: Vec<usize> = items.iter().map(|item| item.at).collect();
    let exact = term.is(&[
        O::StringEquals,
        O::StringNotEquals,
        O::StringEqualsIgnoreCase,
        O::StringNotEqualsIgnoreCase,
    ]);
    let like = term.is(&[O::StringLike, O::StringNotLike, O::GlobLike, O::GlobNotLike]);
    let is_tag = |fact: &Fact| matches!(fact, Fact::ResourceTagPairs | Fact::RequestTagPairs);
    for item in &items {
        if out.is_full(Kind::WildcardWithoutLike) {
            break;
        }
        let path = || term.value_path(draft, item.index);
        let bare = item.text.replace("${*}", "").replace("${?}", "");
        if exact && bare.contains(['*', '?']) && !is_tag(term.key.fact()) {
            let like = match term.operator {
                O::StringEquals | O::StringEqualsIgnoreCase => O::StringLike,
                _ => O::StringNotLike,
            };
            let name = operator_name(document.dialect, like);
            let message = format!(
                "`{}` compares {} literally: use `{name}` for a pattern",
                operator_name(document.dialect, term.operator),
                quoted(item.text)
            );
            let plain = operator_name(document.dialect, term.operator);
            let renamed = term.wanted.operator.replace(plain, name);
            let simple = term.is(&[O::StringEquals, O::StringNotEquals]);
            let added = out.add(Kind::WildcardWithoutLike, item.at, path(), message);
            if simple && is_alone(draft, term, &renamed) {
                let at = term.wanted.operator_at;
                let end = token_end(document.text, at);
                added.fix("compare as a pattern", at, end, format!("\"{renamed}\""));
            }
        }
        if like && let Some(what) = looks_like_regex(item.text) {
            let message = format!(
                "{} has {what}, which means nothing special in a pattern",
                quoted(item.text)
            );
            out.add(Kind::LooksLikeRegex, item.at, path(), message);
        }
        if (exact || like) && item.text.trim() != item.text {
            let message = format!("{} begins or ends with white space", quoted(item.text));
            out.add(Kind::OuterSpace, item.at, path(), message);
        }
    }
    let ordered = match term.operator {
        O::NumericLessThan
        | O::NumericLessThanEquals
        | O::NumericGreaterThan
        | O::NumericGreaterThanEquals
        | O::DateLessThan
        | O::DateLessThanEquals
        | O::DateGreaterThan
        | O::DateGreaterThanEquals => items.len() > 1,
        _ => false,
    };
    let covered = if ordered {
        let message = "several values under an operator that compares with the largest or the \
                       smallest: one counts";
        let path = term.path.clone();
        out.add(Kind::DuplicateValue, term.wanted.at, path, message);
        Vec::new()
    } else if like && term.operator != O::GlobNotLike {
        covered_globs(&items)
    } else {
        repeated(&items)
    };
    for (index, other) in covered {
        if out.is_full(Kind::DuplicateValue) {
            break;
        }
        let (item, wider) = (&items[index], &items[other]);
        let message = if item.text == wider.text {
            format!("{} stands twice in the list", quoted(item.text))
        } else {
            format!(
                "{} is covered by {} of the same list",
                quoted(item.text),
                quoted(wider.text)
            )
        };
        out.add(
            Kind::DuplicateValue,
            item.at,
            term.value_path(draft, index),
            message,
        )
        .fix_by_removing(document.text, "remove it", &starts, index);
    }
}

/// Items whose text stood there before.
fn repeated(items: &[Item<'_>]) -> Vec<(usize, usize)> {
    let mut first = HashMap::new();
    let mut found = Vec::new();
    for (at, item) in items.iter().enumerate() {
        match first.entry(item.text) {
            std::collections::hash_map::Entry::Occupied(earlier) => {
                found.push((at, *earlier.get()))
            }
            std::collections::hash_map::Entry::Vacant(place) => {
                place.insert(at);
            }
        }
    }
    found
}

/// A network.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Network {
    bits: u128,
    length: u32,
    width: u32,
}

impl Network {
    fn parse(text: &str) -> Option<Self> {
        let (address, length) = match text.split_once('/') {
            Some((address, length)) => (address, Some(length.parse::<u32>().ok()?)),
            None => (text, None),
        };
        let (bits, width) = match address.parse::<IpAddr>().ok()? {
            IpAddr::V4(address) => (u128::from(u32::from(address)), 32),
            IpAddr::V6(address) => (u128::from(address), 128),
        };
        let length = length.unwrap_or(width);
        (length <= width).then_some(Self {
            bits,
            length,
            width,
        })
    }

    fn mask(self) -> u128 {
        let all = if self.width == 32 {
            u128::from(u32::MAX)
        } else {
            u128::MAX
        };
        if self.length == 0 {
            0
        } else {
            all & (u128::MAX << (self.width - self.length))
        }
    }

    /// As it should be written.
    fn text(self) -> String {
        let bits = self.bits & self.mask();
        let address = if self.width == 32 {
            IpAddr::from(u32::try_from(bits).unwrap_or(u32::MAX).to_be_bytes())
        } else {
            IpAddr::from(bits.to_be_bytes())
        };
        format!("{address}/{}", self.length)
    }

    fn covers(self, inner: Self) -> bool {
        self.width == inner.width
            && self.length <= inner.length
            && inner.bits & self.mask() == self.bits & self.mask()
    }
}

fn addresses(
    document: &Document<'_>,
    draft: &Draft<'_>,
    term: &Term<'_, '_>,
    out: &mut Reporter<'_>,
) {
    if !term.is(&[Operator::IpAddress, Operator::NotIpAddress]) {
        return;
    }
    for (index, value) in term.wanted.values.iter().enumerate() {
        let Some(network) = Network::parse(&value.text) else {
            continue;
        };
        let path = || term.value_path(draft, index);
        if network.length == 0 {
            let message = format!("{} contains every address", quoted(&value.text));
            out.add(Kind::AnyAddress, value.at, path(), message);
        } else if network.bits & !network.mask() != 0 {
            let wanted = network.text();
            let message = format!("{} means `{wanted}`", quoted(&value.text));
            let end = token_end(document.text, value.at);
            out.add(Kind::HostBits, value.at, path(), message).fix(
                "write the network",
                value.at,
                end,
                format!("\"{wanted}\""),
            );
        }
    }
}

/// The moment of a value, in milliseconds since 1970.
fn moment(term: &Term<'_, '_>, text: &str) -> Option<i64> {
    if term.operator.name().starts_with("Numeric") {
        return Number::parse(text)?.to_milli();
    }
    time::parse(text)
}

fn dates(document: &Document<'_>, draft: &Draft<'_>, term: &Term<'_, '_>, out: &mut Reporter<'_>) {
    use Operator as O;
    let Some(now) = document.now else {
        return;
    };
    if !matches!(term.key.fact(), Fact::CurrentTime | Fact::EpochTime) || term.set.is_some() {
        return;
    }
    let moments: Option<Vec<i64>> = term
        .wanted
        .values
        .iter()
        .map(|value| moment(term, &value.text))
        .collect();
    let Some(moments) = moments.filter(|moments| !moments.is_empty()) else {
        return;
    };
    let all_past = moments.iter().all(|moment| *moment < now);
    let before = term.is(&[
        O::DateLessThan,
        O::DateLessThanEquals,
        O::DateEquals,
        O::NumericLessThan,
        O::NumericLessThanEquals,
        O::NumericEquals,
    ]);
    let after = term.is(&[
        O::DateGreaterThan,
        O::DateGreaterThanEquals,
        O::NumericGreaterThan,
        O::NumericGreaterThanEquals,
    ]);
    let message = if before && all_past {
        "the date is over: the statement never matches again"
    } else if after && draft.is(Effect::Deny) && moments.iter().any(|moment| *moment < now) {
        "the date is over: the Deny holds from now on, whatever the time"
    } else {
        return;
    };
    let value = &term.wanted.values[0];
    out.add(Kind::Expired, value.at, term.value_path(draft, 0), message);
}

/// Operators of another type than the key, where the reader lets that pass.
fn types(document: &Document<'_>, term: &Term<'_, '_>, out: &mut Reporter<'_>) {
    let fact = term.key.fact();
    let free = matches!(
        fact,
        Fact::Other
            | Fact::PrincipalTag(_)
            | Fact::ResourceTag(_)
            | Fact::SessionTag(_)
            | Fact::RequestTag(_)
    );
    // Older Tencent documents compare it as a number or as text.
    let second_factor =
        document.dialect == Dialect::Tencent && *fact == Fact::MultiFactorAuthPresent;
    if document.dialect == Dialect::Native
        || free
        || second_factor
        || term.operator == Operator::Null
    {
        return;
    }
    let name = term.operator.name();
    let compared = if name.starts_with("Numeric") {
        FactKind::Number
    } else if name.starts_with("Date") {
        FactKind::Time
    } else if term.operator == Operator::Bool {
        FactKind::Boolean
    } else if term.is(&[Operator::IpAddress, Operator::NotIpAddress]) {
        FactKind::Address
    } else {
        FactKind::Text
    };
    let fits = compared == fact.kind() || (*fact == Fact::EpochTime && compared == FactKind::Time);
    if !fits {
        let describe = |kind| match kind {
            FactKind::Text => "text",
            FactKind::Number => "a number",
            FactKind::Time => "a date",
            FactKind::Address => "an address",
            FactKind::Boolean => "a truth value",
        };
        let message = format!(
            "`{}` compares {}, and {} is {}",
            term.wanted.operator,
            describe(compared),
            term.name(),
            describe(fact.kind())
        );
        out.add(
            Kind::TypeMismatch,
            term.wanted.operator_at,
            &*term.path,
            message,
        );
    }
}

/// Can a request for the action have the fact?
fn can_have(action: ActionId, fact: &Fact) -> bool {
    let Some(id) = action.command() else {
        return !fact.is_of_command() && *fact != Fact::DatabaseIndex;
    };
    let command = id.command();
    let argument = match fact {
        Fact::TtlSeconds => Argument::Ttl,
        Fact::ValueBytes => Argument::ValueBytes,
        Fact::KeyCount => Argument::KeyCount,
        Fact::Count => Argument::Count,
        Fact::BlockingSeconds => Argument::Blocking,
        Fact::ScriptSha256 => Argument::Script,
        Fact::Key => return command.scope != CommandScope::Keyless,
        Fact::ReadKey => {
            let keyed = command.scope == CommandScope::Keyed && !command.key_specs.is_empty();
            let reads = command.key_specs.iter().any(|spec| spec.flags.reads());
            return command.scope != CommandScope::Keyless && (!keyed || reads || is_open(action));
        }
        Fact::WriteKey => {
            let keyed = command.scope == CommandScope::Keyed && !command.key_specs.is_empty();
            let writes = command.key_specs.iter().any(|spec| spec.flags.writes());
            return command.scope != CommandScope::Keyless && (!keyed || writes || is_open(action));
        }
        Fact::Channel => return command.channels != ChannelRule::None,
        _ => return true,
    };
    id.can_have(argument)
}

/// Its access depends on its arguments.
fn is_open(action: ActionId) -> bool {
    let command = action.command().map(|id| id.command());
    command.is_some_and(|command| {
        command.flags.contains(keyward_commands::Flags::MOVABLEKEYS)
            || matches!(command.name, "set" | "bitfield")
    })
}

/// A key that none of the actions has.
fn never_has(document: &Document<'_>, at: usize, term: &Term<'_, '_>, out: &mut Reporter<'_>) {
    let fact = term.key.fact();
    if !fact.is_of_command() && *fact != Fact::DatabaseIndex {
        return;
    }
    let actions = &document.meanings[at].actions;
    if actions.is_empty() || actions.iter().any(|action| can_have(action, fact)) {
        return;
    }
    let consequence = if term.needs_presence() {
        "the statement never matches"
    } else {
        "the condition always holds"
    };
    let shown: ActionBits = actions.iter().take(20).collect();
    let message = format!(
        "{} is never part of {}: {consequence}",
        term.name(),
        names(&shown)
    );
    out.add(Kind::NeverHasKey, term.wanted.key_at, &*term.path, message);
}

/// What a value of one key must satisfy.
#[derive(Default)]
struct Demands<'t, 'w, 'd> {
    terms: Vec<&'t Term<'w, 'd>>,
}

/// Conditions of one statement that exclude each other.
fn unsatisfiable(
    document: &Document<'_>,
    draft: &Draft<'_>,
    terms: &[Term<'_, '_>],
    out: &mut Reporter<'_>,
) {
    let mut by_key: Vec<(&str, Demands<'_, '_, '_>)> = Vec::new();
    let mut places: HashMap<&str, usize> = HashMap::new();
    for term in terms {
        // Of several values a Deny asks for any, and each operator may mean another one.
        let any = term.key.fact().is_of_touch()
            && (draft.is(Effect::Deny) || document.dialect != Dialect::Native);
        let any = any || term.set == Some(SetOperator::ForAnyValue) && has_several(&term.key);
        if any && term.operator != Operator::Null {
            continue;
        }
        let place = *places.entry(term.key.folded()).or_insert_with(|| {
            by_key.push((term.key.folded(), Demands::default()));
            by_key.len() - 1
        });
        by_key[place].1.terms.push(term);
    }
    for (_, demands) in &by_key {
        let keys = draft.is(Effect::Allow).then_some(draft);
        if let Some((term, message)) = contradiction(demands, keys) {
            let values = term.wanted.values.first();
            let at = values.map_or(term.wanted.key_at, |value| value.at);
            out.add(Kind::Unsatisfiable, at, &*term.path, message);
        }
    }
}

/// The term that cannot hold beside the others, and why.
fn contradiction<'t, 'w, 'd>(
    demands: &Demands<'t, 'w, 'd>,
    allow: Option<&Draft<'_>>,
) -> Option<(&'t Term<'w, 'd>, String)> {
    use Operator as O;
    let terms = &demands.terms;
    let null = |wanted: &str| {
        terms.iter().copied().find(|term| {
            let values = &term.wanted.values;
            term.operator == O::Null && values.iter().all(|value| value.text == wanted)
        })
    };
    if let Some(absent) = null("true") {
        let present = terms
            .iter()
            .copied()
            .find(|term| !std::ptr::eq(*term, absent) && term.needs_presence());
        return present.map(|term| {
            let message = format!(
                "`Null` asks that {} is missing, and this that it is there",
                term.name()
            );
            (term, message)
        });
    }
    // Without a term that needs the value, requests that lack it may match.
    if !terms.iter().any(|term| term.needs_presence()) {
        return None;
    }
    let name = terms.first()?.name();
    let mut last = None;

    let mut truths: Option<[bool; 2]> = None;
    for term in terms.iter().filter(|term| term.operator == O::Bool) {
        let mut wanted = [false; 2];
        for value in &term.wanted.values {
            match value.text.to_ascii_lowercase().as_str() {
                "true" | "1" => wanted[1] = true,
                "false" | "0" => wanted[0] = true,
                _ => wanted = [true; 2],
            }
        }
        let before = truths.unwrap_or([true; 2]);
        let both = [before[0] && wanted[0], before[1] && wanted[1]];
        if both == [false; 2] {
            return Some((term, format!("{name} cannot be true and false at once")));
        }
        truths = Some(both);
    }

    if let Some(found) = ranges(terms, &name) {
        return Some(found);
    }

    // Addresses: some wanted network must be left.
    let networks = |term: &Term<'_, '_>| -> Option<Vec<Network>> {
        term.fixed()?.into_iter().map(Network::parse).collect()
    };
    let mut left: Option<Vec<Network>> = None;
    for term in terms.iter().filter(|term| term.operator == O::IpAddress) {
        let wanted = networks(term)?;
        left = Some(match left {
            None => wanted,
            Some(before) => {
                let both = |x: &Network| {
                    let fitting = wanted.iter().filter_map(|y| {
                        if x.covers(*y) {
                            Some(*y)
                        } else {
                            y.covers(*x).then_some(*x)
                        }
                    });
                    fitting.collect::<Vec<_>>()
                };
                before.iter().flat_map(both).collect()
            }
        });
        last = Some(*term);
    }
    for term in terms.iter().filter(|term| term.operator == O::NotIpAddress) {
        let without = networks(term)?;
        if let Some(left) = &mut left {
            left.retain(|network| !without.iter().any(|outer| outer.covers(*network)));
            last = Some(*term);
        }
    }
    if left.is_some_and(|left| left.is_empty()) {
        let message = format!("no address satisfies all conditions on {name}");
        return last.map(|term| (term, message));
    }
    texts(terms, &name, allow)
}

/// A bound of a range, and whether the bound itself is inside.
type Bound = Option<(Number, bool)>;

/// Numbers and dates: the range that all leave.
fn ranges<'t, 'w, 'd>(
    terms: &[&'t Term<'w, 'd>],
    name: &str,
) -> Option<(&'t Term<'w, 'd>, String)> {
    use Operator as O;
    let (mut low, mut high): (Bound, Bound) = (None, None);
    let mut equal: Option<Vec<Number>> = None;
    let never_negative = matches!(
        terms.first()?.key.fact(),
        Fact::ValueBytes
            | Fact::KeyCount
            | Fact::Count
            | Fact::DatabaseIndex
            | Fact::BlockingSeconds
            | Fact::MultiFactorAuthAge
            | Fact::TokenAge
    );
    if never_negative {
        low = Some((Number::from_i64(0), true));
    }
    let mut last = None;
    for term in terms {
        let is_date = term.operator.name().starts_with("Date");
        if !is_date && !term.operator.name().starts_with("Numeric") {
            continue;
        }
        let number = |text: &str| {
            if is_date {
                // In seconds, so that dates and numbers on the same key meet.
                time::parse(text).map(Number::milli)
            } else {
                Number::parse(text)
            }
        };
        let values: Option<Vec<Number>> = term.fixed()?.into_iter().map(number).collect();
        let values = values?;
        let (least, most) = (*values.iter().min()?, *values.iter().max()?);
        let upper = |bound: Bound, value, inside| match bound {
            Some((before, was)) if before < value => Some((before, was)),
            Some((before, was)) if before == value => Some((before, was && inside)),
            _ => Some((value, inside)),
        };
        let lower = |bound: Bound, value, inside| match bound {
            Some((before, was)) if before > value => Some((before, was)),
            Some((before, was)) if before == value => Some((before, was && inside)),
            _ => Some((value, inside)),
        };
        match term.operator {
            O::NumericLessThan | O::DateLessThan => high = upper(high, most, false),
            O::NumericLessThanEquals | O::DateLessThanEquals => high = upper(high, most, true),
            O::NumericGreaterThan | O::DateGreaterThan => low = lower(low, least, false),
            O::NumericGreaterThanEquals | O::DateGreaterThanEquals => low = lower(low, least, true),
            O::NumericEquals | O::DateEquals => {
                equal = Some(match equal {
                    None => values,
                    Some(mut before) => {
                        before.retain(|value| values.contains(value));
                        before
                    }
                });
            }
            _ => continue,
        }
        last = Some(*term);
    }
    let inside = |value: &Number| {
        let above = low.is_none_or(|(low, inside)| *value > low || (inside && *value == low));
        let below = high.is_none_or(|(high, inside)| *value < high || (inside && *value == high));
        above && below
    };
    let empty = match (&equal, low, high) {
        (Some(values), _, _) => !values.iter().any(inside),
        (None, Some((low, in_low)), Some((high, in_high))) => {
            low > high || (low == high && !(in_low && in_high))
        }
        _ => false,
    };
    let term = last.filter(|_| empty)?;
    let message = format!("no value of {name} satisfies all of its conditions");
    Some((term, message))
}

/// Texts: some wanted text must fit all, or the fixed beginnings of all patterns be compatible.
fn texts<'t, 'w, 'd>(
    terms: &[&'t Term<'w, 'd>],
    name: &str,
    allow: Option<&Draft<'_>>,
) -> Option<(&'t Term<'w, 'd>, String)> {
    use Operator as O;
    let message = || format!("no value of {name} satisfies all of its conditions");
    let mut wanted: Option<Vec<String>> = None;
    let mut last = None;
    for term in terms {
        let folds = term.operator == O::StringEqualsIgnoreCase;
        if term.operator != O::StringEquals && !folds {
            continue;
        }
        let values = term.fixed()?;
        let fits = |text: &String| {
            values.iter().any(|value| {
                if folds {
                    value.eq_ignore_ascii_case(text)
                } else {
                    *value == text
                }
            })
        };
        match &mut wanted {
            None if !folds => {
                wanted = Some(values.iter().map(|value| (*value).to_owned()).collect());
            }
            None => continue,
            Some(before) => before.retain(fits),
        }
        last = Some(*term);
    }
    let patterns = |term: &Term<'_, '_>| -> Option<Vec<Glob>> {
        let glob = |text: &str| match term.operator {
            O::GlobLike | O::GlobNotLike => Glob::new(text.as_bytes()),
            // `[` and `\` are plain text in `StringLike`.
            _ => {
                let text = text.replace('\\', "\\\\").replace('[', "\\[");
                Glob::new(text.as_bytes())
            }
        };
        Some(term.fixed()?.into_iter().map(glob).collect())
    };
    for term in terms {
        let positive = term.is(&[O::StringLike, O::GlobLike]);
        let negative = term.is(&[O::StringNotLike, O::GlobNotLike]);
        let unequal = term.operator == O::StringNotEquals;
        if negative && term.fixed()?.contains(&"*") {
            let message = format!("`*` matches every value of {name}, and none may match");
            return Some((term, message));
        }
        let Some(wanted) = &mut wanted else {
            continue;
        };
        if unequal {
            let values = term.fixed()?;
            wanted.retain(|text| !values.contains(&text.as_str()));
        } else if positive || negative {
            let globs = patterns(term)?;
            let matches = |text: &String| globs.iter().any(|glob| glob.matches(text.as_bytes()));
            wanted.retain(|text| matches(text) == positive);
        } else {
            continue;
        }
        last = Some(*term);
    }
    if wanted.as_ref().is_some_and(Vec::is_empty) {
        return last.map(|term| (term, message()));
    }
    // Patterns against patterns, and against the statement's own `Keys`.
    let mut lists: Vec<(Option<&'t Term<'w, 'd>>, Vec<Glob>)> = Vec::new();
    if let (Some(draft), Some(Fact::Key)) = (allow, terms.first().map(|term| term.key.fact()))
        && !draft.keys.is_empty()
    {
        let fields = draft.keys.iter().filter(|list| list.name != "Channels");
        let items = fields.flat_map(|list| &list.items);
        let globs: Option<Vec<Glob>> = items
            .map(|item| (!item.text.contains("${")).then(|| Glob::new(item.text.as_bytes())))
            .collect();
        lists.extend(
            globs
                .filter(|globs| !globs.is_empty())
                .map(|globs| (None, globs)),
        );
    }
    for term in terms {
        if term.is(&[O::StringLike, O::GlobLike]) {
            lists.push((Some(term), patterns(term)?));
        } else if term.operator == O::StringEquals {
            let escape = |text: &str| {
                let mut out = Vec::new();
                for byte in text.bytes() {
                    if matches!(byte, b'*' | b'?' | b'[' | b'\\') {
                        out.push(b'\\');
                    }
                    out.push(byte);
                }
                Glob::new(&out)
            };
            let globs = term.fixed()?.into_iter().map(escape).collect();
            lists.push((Some(term), globs));
        }
    }
    for (i, (_, first)) in lists.iter().enumerate() {
        for (term, second) in &lists[i + 1..] {
            let compatible = |x: &Glob, y: &Glob| {
                let (a, b) = (x.literal_prefix(), y.literal_prefix());
                a.starts_with(b) || b.starts_with(a)
            };
            if first.len() * second.len() > 10_000 {
                continue;
            }
            let some = first
                .iter()
                .any(|x| second.iter().any(|y| compatible(x, y)));
            if let (false, Some(term)) = (some, term) {
                return Some((term, message()));
            }
        }
    }
    None
}

/// Whether a term compares text, for vendors' checks.
pub(crate) fn takes_variables(dialect: Dialect, operator: &str) -> bool {
    parse_operator(dialect, operator).is_some_and(|(_, operator, _)| operator.takes_variables())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn networks() {
        let network = |text| Network::parse(text).unwrap();
        assert_eq!(network("10.1.2.3/8").text(), "10.0.0.0/8");
        assert_eq!(network("2001:db8::1/32").text(), "2001:db8::/32");
        assert!(network("0.0.0.0/0").covers(network("9.9.9.9")));
        assert!(!network("::/0").covers(network("9.9.9.9")));
        assert!(!network("10.0.0.0/9").covers(network("10.128.0.0/9")));
        assert_eq!(Network::parse("10.0.0.0/33"), None);
        assert_eq!(Network::parse("x"), None);
    }

    #[test]
    fn operators() {
        use Dialect::{Aws, Tencent};
        let cases = [
            (Aws, "StringLike", Some((None, Operator::StringLike, false))),
            (
                Aws,
                "ForAllValues:StringLikeIfExists",
                Some((Some(SetOperator::ForAllValues), Operator::StringLike, true)),
            ),
            (
                Tencent,
                "for_any_value:string_equal_if_exist",
                Some((Some(SetOperator::ForAnyValue), Operator::StringEquals, true)),
            ),
            (Tencent, "StringLike", None),
            (Aws, "ForSome:StringLike", None),
        ];
        for (dialect, name, expected) in cases {
            assert_eq!(parse_operator(dialect, name), expected, "{name}");
        }
    }
}
