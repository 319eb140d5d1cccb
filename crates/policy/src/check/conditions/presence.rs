//! What a condition says where a request has no value, or several: `ForAllValues`, `ForAnyValue`,
//! `IfExists` and `Null`.

use keyward_commands::{ActionBits, ChannelRule, FindKeys};

use super::term::{Beside, Term, operator_name};
use crate::check::Document;
use crate::check::draft::{WantedValue, token_end};
use crate::check::report::Reporter;
use crate::check::rules::Kind;
use crate::condition::{ConditionKey, Fact, Operator, SetOperator};
use crate::{Dialect, Effect};

/// `ForAllValues:` and `ForAnyValue:` in the wrong place, or missing.
pub(super) fn sets(
    document: &Document<'_>,
    (effect, actions): (Effect, &ActionBits),
    beside: &Beside<'_>,
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
    let alone = beside.is_alone(term, plain);
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
        (Some(SetOperator::ForAllValues), Effect::Allow) if !beside.is_guarded(term) => {
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
                && (!of_touch || several_keys(actions)) =>
        {
            let wanted = match effect {
                _ if !of_touch => "write `ForAnyValue:` or `ForAllValues:`",
                Effect::Deny => "write `ForAnyValue:`",
                Effect::Allow => {
                    "commands with several keys never match; write `ForAllValues:`, with `Null`"
                }
            };
            let message = format!(
                "{key} may have several values, and a plain operator matches only one: {wanted}"
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

/// Can one request have several values of it?
pub(super) fn has_several(key: &ConditionKey) -> bool {
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
pub(super) fn missing(
    document: &Document<'_>,
    effect: Effect,
    beside: &Beside<'_>,
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
        if let Some(plain) = plain.filter(|plain| beside.is_alone(term, plain)) {
            added.fix("leave it out", at, end, format!("\"{plain}\""));
        }
    }
    let holds_without = negated && (aws_like || term.if_exists);
    let may_miss = !is_always_there(fact) && !fact.is_of_touch();
    if effect == Effect::Allow && holds_without && may_miss && !beside.is_guarded(term) {
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
        if document.dialect != Dialect::Alibaba && beside.is_alone(term, &wanted) {
            added.fix("deny without it, too", at, end, format!("\"{wanted}\""));
        }
    }
}
