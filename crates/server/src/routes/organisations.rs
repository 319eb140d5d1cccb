//! Organisations.

use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use keyward_iam::{Change, Directory, Kind, Principal, VendorAliases, full_path};
use keyward_policy::Dialect;
use serde::Deserialize;
use serde_json::{Value, json};

use super::{Endpoint, Target, delete, get, patch, post, put};
use crate::api::Call;
use crate::body::Body;
use crate::problem::Problem;
use crate::show;

const ONE: &str = "/v1/org/{organisation}";
const NAME: (&str, &str, &str) = ("name", "string?", "what people call it; null takes it away");

pub(super) fn endpoints() -> Vec<Endpoint> {
    vec![
        get("/v1/org", list).tells(
            "Lists the organisations that the caller may see.",
            "org:Describe on each organisation",
        ).lists(),
        post("/v1/org", create)
            .tells(
                "Creates an organisation, owned by the user that owns the caller's.",
                "org:Create on the caller's organisation, iam:AcceptTrust on the caller",
            )
            .takes(&[("id", "string", "its id, for ever"), NAME])
            .creates(),
        get(ONE, super::entities::describe).tells("Shows an organisation.", "org:Describe on it"),
        patch(ONE, super::entities::rename)
            .tells("Renames an organisation.", "org:Update on it")
            .takes(&[NAME]),
        put(ONE, super::entities::rename)
            .tells("Renames an organisation.", "org:Update on it")
            .takes(&[NAME]),
        delete(ONE, remove).tells(
            "Deletes an organisation that has nothing in it.",
            "org:Delete on it",
        ),
        get("/v1/org/{organisation}/aliases", aliases).tells(
            "Shows what vendors call an organisation: the names that hold, and those that were set.",
            "org:Describe on it",
        ),
        put("/v1/org/{organisation}/aliases", set_aliases)
            .tells(
                "Sets what vendors call an organisation: whom its documents in their dialects mean.",
                "org:Update, iam:UpdateTrust, iam:PutResourcePolicy and org:PutGuardrail on it, and what changes boundaries in these dialects",
            )
            .takes(&[
                ("aws", "object?", "account (twelve digits), region, kind (replicationgroup, serverlesscache or cluster)"),
                ("tencent", "object?", "uin, region"),
                ("alibaba", "object?", "account, region"),
            ]),
        put("/v1/org/{organisation}/key_limits", set_key_limits)
            .tells(
                "Sets how long access keys open anything, and how many an identity may have.",
                "org:Update on it; for a longer life of keys also iam:UpdateAccessKey on it",
            )
            .takes(&[
                (
                    "max_key_lifetime_seconds",
                    "integer?",
                    "seconds after which a key opens nothing; left out or null: no limit",
                ),
                (
                    "max_active_keys",
                    "integer?",
                    "active keys of one identity, 1 to 5; left out or null: two",
                ),
            ]),
        put("/v1/org/{organisation}/owner", transfer)
            .tells(
                "Moves an organisation to another user.",
                "org:TransferOwnership on it",
            )
            .takes(&[("owner", "string", "path of the user")]),
    ]
}

async fn list(call: Call) -> Result<Response, Problem> {
    let organisations = call.directory.organisations();
    let paths = organisations.map(|(_, organisation)| organisation.path.to_string());
    Ok(call.list_of_paths(paths.collect(), |path| {
        let seen = call.allows("org:Describe", path);
        seen.then(|| show::entity(&call.directory, path)).flatten()
    }))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Create {
    id: String,
    name: Option<String>,
}

async fn create(call: Call, Body(body): Body<Create>) -> Result<Response, Problem> {
    let caller = match call.caller.session.principal {
        Principal::Identity(ix) => call.directory.identity(ix),
        Principal::Unauthenticated => None,
    };
    let Some(caller) = caller else {
        return Err(Problem::unauthenticated("the identity was deleted"));
    };
    let is_user = caller.kind == Kind::User;
    let owner = if is_user {
        Some(caller.path.to_string())
    } else {
        let organisation = caller
            .organisation
            .and_then(|ix| call.directory.identity(ix));
        let details = organisation.and_then(|organisation| organisation.organisation_details());
        details
            .and_then(|details| call.directory.identity(details.owner))
            .map(|owner| owner.path.to_string())
    };
    let Some(owner) = owner else {
        return Err(Problem::invalid("the caller's organisation has no owner"));
    };
    let path = format!("org/{}", body.id);
    let change = Change::CreateOrganisation {
        id: body.id,
        name: body.name,
        owner,
        account: keyward_auth::account_number(),
        administrator: (!is_user).then(|| caller.path.to_string()),
    };
    call.change_and_show(change, &path, StatusCode::CREATED)
        .await
}

async fn remove(call: Call, target: Target) -> Result<Response, Problem> {
    let path = target.0;
    let change = Change::DeleteOrganisation { path: path.clone() };
    call.change_and_show(change, &path, StatusCode::OK).await
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Transfer {
    owner: String,
}

async fn transfer(
    call: Call,
    target: Target,
    Body(body): Body<Transfer>,
) -> Result<Response, Problem> {
    let path = target.of("owner").to_owned();
    let change = Change::TransferOwnership {
        owner: full_path(&body.owner, target.organisation()),
        organisation: path.clone(),
    };
    call.change_and_show(change, &path, StatusCode::OK).await
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct KeyLimits {
    max_key_lifetime_seconds: Option<u64>,
    max_active_keys: Option<u8>,
}

async fn set_key_limits(
    call: Call,
    target: Target,
    Body(body): Body<KeyLimits>,
) -> Result<Response, Problem> {
    let path = target.of("key_limits").to_owned();
    let change = Change::SetKeyLimits {
        organisation: path.clone(),
        max_key_lifetime_seconds: body.max_key_lifetime_seconds,
        max_active_keys: body.max_active_keys,
    };
    call.change_and_show(change, &path, StatusCode::OK).await
}

/// What vendors call an organisation.
fn shown_aliases(directory: &Directory, path: &str) -> Option<Value> {
    let ix = directory.identity_at(path)?;
    let of = |dialect| directory.vendor_address(dialect, ix, Some(ix));
    let (aws, tencent, alibaba) = (
        of(Dialect::Aws)?,
        of(Dialect::Tencent)?,
        of(Dialect::Alibaba)?,
    );
    let details = directory.identity(ix)?.organisation_details()?;
    Some(json!({
        "path": path,
        "aws": { "account": aws.account, "region": aws.region, "kind": aws.kind.type_word() },
        "tencent": { "uin": tencent.account, "region": tencent.region },
        "alibaba": { "account": alibaba.account, "region": alibaba.region },
        "set": details.aliases.as_deref().cloned().unwrap_or_default(),
    }))
}

async fn aliases(call: Call, target: Target) -> Result<Response, Problem> {
    let path = target.of("aliases");
    call.read("org:Describe", path)?;
    match shown_aliases(&call.directory, path) {
        Some(shown) => Ok(axum::Json(shown).into_response()),
        None => Err(Problem::not_found(path)),
    }
}

async fn set_aliases(
    call: Call,
    target: Target,
    Body(aliases): Body<VendorAliases>,
) -> Result<Response, Problem> {
    let path = target.of("aliases").to_owned();
    let change = Change::SetVendorAliases {
        organisation: path.clone(),
        aliases,
    };
    let changed = call.change(change).await?;
    let mut shown = shown_aliases(&changed.directory, &path).unwrap_or_default();
    if call.dry_run {
        show::insert(&mut shown, "dry_run", true);
    }
    let mut response = axum::Json(shown).into_response();
    call.tag(&mut response, &changed.directory, &path);
    Ok(response)
}
