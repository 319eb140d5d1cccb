//! Invitations to organisations: what they offer, and taking or declining them.

use std::sync::Arc;

use keyward_auth::{PersonSecret, PersonToken};
use keyward_iam::{Attachment, Change, Directory, TrustKind, UnixMillis, UsedFactor};
use keyward_policy::Policy;
use serde_json::{Value, json};
use subtle::ConstantTimeEq as _;
use zeroize::Zeroizing;

use super::factors;
use super::sign_in::{self, Came, Client, NewLogin};
use super::{SignedInPerson, person_of_token};
use crate::api::Api;
use crate::problem::Problem;
use crate::show;

/// What an invitation offers.
pub(crate) struct Offer {
    /// Path of the organisation user.
    pub(crate) path: String,
    pub(crate) organisation: String,
    /// What people call the organisation.
    pub(crate) organisation_name: Option<String>,
    /// Path of whoever made the organisation user.
    pub(crate) invited_by: String,
    pub(crate) email: Option<String>,
    pub(crate) expires_at: UnixMillis,
    /// What people call whoever made the organisation user.
    pub(crate) inviter_name: Option<String>,
    /// What the member will be trusted with.
    pub(crate) trusts: Vec<OfferedTrust>,
    token_hash: [u8; 32],
}

/// A trust that the member will have.
pub(crate) struct OfferedTrust {
    /// Path of the trustor.
    pub(crate) trustor: String,
    /// Whether it is a membership of a group, which lets the member act as the group does.
    pub(crate) is_membership: bool,
    /// Texts or paths of its policies.
    pub(crate) policies: Vec<String>,
    /// Its conditions, as JSON.
    pub(crate) conditions: Option<String>,
    /// Whether it asks for a second factor.
    pub(crate) needs_second_factor: bool,
    /// When it ends.
    pub(crate) expires_at: Option<UnixMillis>,
}

impl Offer {
    pub(crate) fn shown(&self) -> Value {
        let trusts: Vec<Value> = self
            .trusts
            .iter()
            .map(|trust| {
                let conditions = trust.conditions.as_deref();
                let conditions =
                    conditions.map(|text| serde_json::from_str(text).unwrap_or(Value::from(text)));
                json!({
                    "trustor": trust.trustor, "policies": trust.policies,
                    "conditions": conditions, "expires_at": trust.expires_at.map(show::time),
                })
            })
            .collect();
        json!({
            "path": self.path, "organisation": self.organisation,
            "organisation_name": self.organisation_name, "invited_by": self.invited_by,
            "invited_by_name": self.inviter_name, "email": self.email, "expires_at": show::time(self.expires_at), "trusts": trusts,
        })
    }
}

fn gone() -> Problem {
    use axum::http::StatusCode;
    Problem::new(
        StatusCode::NOT_FOUND,
        "not_found",
        "the invitation was used, replaced, withdrawn or declined, or has expired: ask for another one",
    )
}

/// What a token offers, while it does.
pub(crate) fn offer(api: &Api, directory: &Directory, token: &str) -> Result<Offer, Problem> {
    let token = PersonToken::parse(PersonSecret::Invitation, token).ok_or_else(gone)?;
    let path = token.path();
    let ix = directory.identity_at(&path).ok_or_else(gone)?;
    let member = directory.identity(ix).ok_or_else(gone)?;
    let invitation = member.invitation.as_deref().ok_or_else(gone)?;
    let token_hash = token.hash(&api.hash_key);
    let fits = bool::from(token_hash.ct_eq(&invitation.token_hash));
    if !fits || (api.clock)() >= invitation.expires_at {
        return Err(gone());
    }
    let organisation = member.organisation.and_then(|ix| directory.identity(ix));
    let organisation = organisation.ok_or_else(gone)?;
    let trusts = directory.trusts().filter(|(_, trust)| trust.trustee == ix);
    let trusts = trusts.filter_map(|(_, trust)| {
        let conditions = trust.conditions_text().map(|text| text.to_string());
        let policies = trust.policies.iter();
        Some(OfferedTrust {
            trustor: directory.identity(trust.trustor)?.path.to_string(),
            is_membership: trust.kind == TrustKind::Membership,
            policies: policies.map(|p| policy_text(directory, p)).collect(),
            needs_second_factor: conditions.as_deref().is_some_and(asks_for_second_factor),
            conditions,
            expires_at: trust.expires_at,
        })
    });
    Ok(Offer {
        organisation: organisation.path.to_string(),
        organisation_name: organisation.name.as_deref().map(str::to_owned),
        invited_by: member.created.by.to_string(),
        inviter_name: directory
            .identity_at(&member.created.by)
            .and_then(|by| directory.identity(by)?.name.as_deref().map(str::to_owned)),
        email: invitation.email.as_deref().map(str::to_owned),
        expires_at: invitation.expires_at,
        trusts: trusts.collect(),
        path,
        token_hash,
    })
}

/// Whether conditions hold only in sessions that began with a second factor.
fn asks_for_second_factor(conditions: &str) -> bool {
    let conditions: Value = serde_json::from_str(conditions).unwrap_or_default();
    let asked = conditions["Bool"].as_object().into_iter().flatten();
    let mut asked = asked.filter(|(key, _)| {
        key.eq_ignore_ascii_case("keyward:MultiFactorAuthPresent")
            || key.eq_ignore_ascii_case("aws:MultiFactorAuthPresent")
    });
    asked.any(|(_, wanted)| match wanted {
        Value::Bool(wanted) => *wanted,
        Value::String(wanted) => wanted == "true",
        Value::Array(list) => !list.is_empty() && list.iter().all(|one| one == "true"),
        _ => false,
    })
}

fn policy_text(directory: &Directory, attachment: &Attachment) -> String {
    let text = |policy: &Arc<Policy>| policy.text().to_owned();
    match attachment {
        Attachment::Inline(policy) => text(policy),
        Attachment::Named(ix) => directory
            .policy(*ix)
            .map_or_else(|| "deleted".to_owned(), |policy| policy.path.to_string()),
        Attachment::System(policy, _) => policy.path(),
    }
}

/// Takes an invitation for a person who is signed in.
pub(crate) async fn accept(
    api: &Arc<Api>,
    person: &SignedInPerson,
    token: &str,
) -> Result<Offer, Problem> {
    let offer = offer(api, &api.control.directory(), token)?;
    let change = Change::AcceptInvitation {
        path: offer.path.clone(),
        user: person.path.clone(),
        token_hash: offer.token_hash,
    };
    for_session(api, person, change).await?;
    Ok(offer)
}

fn failed() -> Problem {
    use axum::http::StatusCode;
    Problem::new(
        StatusCode::INTERNAL_SERVER_ERROR,
        "internal",
        "the change failed inside Keyward, and has no effect",
    )
}

/// Declines an invitation: whoever has it may.
pub(crate) async fn decline(
    api: &Arc<Api>,
    client: &Client,
    token: &str,
) -> Result<Offer, Problem> {
    let offer = offer(api, &api.control.directory(), token)?;
    let change = Change::DeclineInvitation {
        path: offer.path.clone(),
        token_hash: offer.token_hash,
    };
    for_person(api, "invited", client, change).await?;
    Ok(offer)
}

/// Makes an account for whoever has an invitation, signs in and takes it: an invitation makes one
/// account.
pub(crate) async fn register(
    api: &Arc<Api>,
    client: &Client,
    secure: bool,
    token: &str,
    new: NewPerson,
) -> Result<NewLogin, Problem> {
    offer(api, &api.control.directory(), token)?;
    let names = [new.sign_in_name.as_str(), new.name.as_str()];
    let hash = factors::new_password(api, new.password, &names).await?;
    let id = keyward_auth::random_slug();
    let path = format!("user/{id}");
    let change = Change::RegisterUser {
        id,
        name: (!new.name.is_empty()).then_some(new.name),
        sign_in_name: new.sign_in_name,
        password: Some(hash),
    };
    for_person(api, &path, client, change).await?;
    let login = sign_in::begin(api, &path, client, UsedFactor::None, false, Came::Password).await?;
    let directory = api.control.directory();
    let (source, now) = (Some(client.source), (api.clock)());
    let person = person_of_token(api, &directory, &login.token, source, secure, now);
    accept(api, &person.ok_or_else(gone)?, token).await?;
    Ok(login)
}

/// Somebody who makes an account.
pub(crate) struct NewPerson {
    pub(crate) name: String,
    pub(crate) sign_in_name: String,
    pub(crate) password: Zeroizing<String>,
}

/// Makes a change that a person asks for in a session.
pub(crate) async fn for_session(
    api: &Arc<Api>,
    person: &SignedInPerson,
    change: Change,
) -> Result<(), Problem> {
    let (control, session, now) = (
        Arc::clone(&api.control),
        person.session.clone(),
        (api.clock)(),
    );
    let made = tokio::task::spawn_blocking(move || control.change(&session, &change, now));
    match made.await {
        Ok(made) => made.map(drop).map_err(Problem::from),
        Err(_) => Err(failed()),
    }
}

/// Makes a change for somebody who has no session that could ask for it.
pub(crate) async fn for_person(
    api: &Arc<Api>,
    by: &str,
    client: &Client,
    change: Change,
) -> Result<Arc<Directory>, Problem> {
    let (control, by, source) = (Arc::clone(&api.control), by.to_owned(), Some(client.source));
    let now = (api.clock)();
    let made =
        tokio::task::spawn_blocking(move || control.change_for_person(&by, source, &change, now));
    match made.await {
        Ok(made) => made.map_err(Problem::from),
        Err(_) => Err(failed()),
    }
}
