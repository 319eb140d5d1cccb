//! Conditions that are legal and probably wrong, in every dialect.

mod addresses;
mod contradiction;
mod never;
mod presence;
mod term;
mod values;

pub(crate) use term::takes_variables;

use addresses::addresses;
use contradiction::unsatisfiable;
use never::never_has;
use presence::{missing, sets};
use term::{Beside, Term};
use values::{dates, restricts_nothing, types, values};

use crate::Effect;
use crate::check::Document;
use crate::check::report::Reporter;
use crate::check::rules::Kind;
use crate::condition::{Fact, Operator};

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
        let beside = Beside::new(draft, &terms);
        for term in &terms {
            values(document, draft, &beside, term, out);
            addresses(document, draft, term, out);
            dates(document, draft, term, out);
            types(document, term, out);
            if let Some(effect) = draft.effect {
                let actions = &document.meanings[at].actions;
                sets(document, (effect, actions), &beside, term, out);
                missing(document, effect, &beside, term, out);
                caller_chosen(effect, term, out);
                restricts_nothing(effect, term, out);
            }
            never_has(document, at, term, out);
        }
        unsatisfiable(document, draft, &terms, out);
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
