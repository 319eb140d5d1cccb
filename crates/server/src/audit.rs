//! What is kept of a change.

use std::net::IpAddr;

use keyward_iam::{
    Backend, Change, Invitation, PersonChange, PolicyInput, PolicyText, Requirement, UnixMillis,
    UsedFactor, full_path,
};
use keyward_policy::Dialect;
use keyward_store::AuditRecord;
use serde_json::{Value, json};

/// The audit record of a change. Hashes of secrets are left out.
pub(crate) fn record(
    by: &str,
    source: Option<IpAddr>,
    change: &Change,
    requirements: &[Requirement],
    at: UnixMillis,
) -> AuditRecord {
    let (resource, summary) = describe(change);
    AuditRecord {
        at,
        principal: by.to_owned(),
        actions: requirements
            .iter()
            .map(|requirement| format!("{} on {}", requirement.action, requirement.resource))
            .collect(),
        resource,
        summary,
        source,
        request_id: None,
    }
}

fn policies(inputs: &[PolicyInput]) -> Value {
    let one = |input: &PolicyInput| match input {
        PolicyInput::Document(text) => json!({ "document": text }),
        PolicyInput::Written(written) => document(written),
        PolicyInput::Named(path) => json!({ "policy": path }),
    };
    inputs.iter().map(one).collect()
}

/// A backend without its password.
fn shown_backend(backend: &Backend) -> Value {
    match backend {
        Backend::Embedded => json!({ "type": "embedded" }),
        Backend::Server {
            address,
            user,
            password,
            operator,
        } => json!({ "type": "server", "address": address, "user": user,
                     "has_password": password.is_some(), "operator": operator }),
    }
}

fn document(written: &PolicyText) -> Value {
    match written.dialect {
        None => json!({ "document": written.text }),
        Some(dialect) => json!({ "document": written.text, "dialect": dialect.name() }),
    }
}

/// An invitation without its token.
fn offered(invitation: &Invitation) -> Value {
    json!({ "email": invitation.email, "expires_at": invitation.expires_at })
}

/// A change of a person, without any hash, secret or key.
fn person(change: &PersonChange) -> Value {
    let mut shown = json!({ "change": change.name() });
    let more = match change {
        PersonChange::SetSignInName(name) => json!({ "sign_in_name": name }),
        PersonChange::AddPasskey(passkey) => json!({ "passkey": passkey.id, "name": passkey.name }),
        PersonChange::RenamePasskey { id, name } => json!({ "passkey": id, "name": name }),
        PersonChange::RemovePasskey(id) => json!({ "passkey": id }),
        PersonChange::Link(login) => json!({ "issuer": login.issuer, "subject": login.subject }),
        PersonChange::Unlink { issuer, subject } => {
            json!({ "issuer": issuer, "subject": subject })
        }
        PersonChange::BeginLogin { session, factor } => {
            let factor = match factor {
                UsedFactor::None => "none",
                UsedFactor::Totp { .. } => "totp",
                UsedFactor::RecoveryCode(_) => "recovery_code",
                UsedFactor::Passkey { .. } => "passkey",
            };
            json!({ "session": session.id, "client": session.client, "source": session.source,
                    "provider": session.provider, "factor": factor,
                    "expires_at": session.expires_at })
        }
        PersonChange::EndLogin(id) => json!({ "session": id }),
        PersonChange::EndLogins { except } => json!({ "except": except }),
        PersonChange::SetSetupLink(link) => {
            json!({ "expires_at": link.as_ref().map(|link| link.expires_at) })
        }
        _ => Value::Null,
    };
    if let (Some(shown), Value::Object(more)) = (shown.as_object_mut(), more) {
        shown.extend(more);
    }
    shown
}

/// The path of what is changed, and the change in the words of the API.
fn describe(change: &Change) -> (String, Value) {
    let new =
        |organisation: &str, kind: &str, id: &str| full_path(&format!("{kind}/{id}"), organisation);
    match change {
        Change::CreateUser { id, name } => (
            format!("user/{id}"),
            json!({ "change": "create_user", "name": name }),
        ),
        Change::RegisterUser {
            id,
            name,
            sign_in_name,
            ..
        } => (
            format!("user/{id}"),
            json!({ "change": "register_user", "name": name, "sign_in_name": sign_in_name }),
        ),
        Change::DeleteUser { path, cascade } => (
            path.clone(),
            json!({ "change": "delete_user", "cascade": cascade }),
        ),
        Change::DeclineInvitation { path, .. } => {
            (path.clone(), json!({ "change": "decline_invitation" }))
        }
        Change::Person { user, change } => (user.clone(), person(change)),
        Change::CreateOrganisation {
            id,
            name,
            owner,
            account,
            administrator,
        } => (
            format!("org/{id}"),
            json!({ "change": "create_organisation", "name": name, "owner": owner,
                    "account": account, "administrator": administrator }),
        ),
        Change::Rename { path, name } => {
            (path.clone(), json!({ "change": "rename", "name": name }))
        }
        Change::SetTags { path, set, remove } => (
            path.clone(),
            json!({ "change": "set_tags", "set": set, "remove": remove }),
        ),
        Change::DeleteOrganisation { path } => {
            (path.clone(), json!({ "change": "delete_organisation" }))
        }
        Change::CreateProgrammaticIdentity {
            organisation,
            id,
            name,
        } => (
            new(organisation, "programmatic_identity", id),
            json!({ "change": "create_programmatic_identity", "name": name }),
        ),
        Change::CreateGroup {
            organisation,
            id,
            name,
        } => (
            new(organisation, "group", id),
            json!({ "change": "create_group", "name": name }),
        ),
        Change::CreateRole {
            organisation,
            id,
            name,
            description,
            max_session_seconds,
        } => (
            new(organisation, "role", id),
            json!({ "change": "create_role", "name": name, "description": description,
                    "max_session_seconds": max_session_seconds }),
        ),
        Change::UpdateRole {
            path,
            name,
            description,
            max_session_seconds,
        } => (
            path.clone(),
            json!({ "change": "update_role", "name": name, "description": description,
                    "max_session_seconds": max_session_seconds }),
        ),
        Change::CreateOrganisationUser {
            organisation,
            id,
            name,
            user,
            invitation,
        } => (
            new(organisation, "org_user", id),
            json!({ "change": "create_organisation_user", "name": name, "user": user,
                    "invitation": invitation.as_ref().map(offered) }),
        ),
        Change::Invite { path, invitation } => (
            path.clone(),
            json!({ "change": "invite", "invitation": offered(invitation) }),
        ),
        Change::AcceptInvitation { path, user, .. } => (
            path.clone(),
            json!({ "change": "accept_invitation", "user": user }),
        ),
        Change::RevokeSessions { identity, before } => (
            identity.clone(),
            json!({ "change": "revoke_sessions", "before": before }),
        ),
        Change::RevokeSession {
            identity,
            id,
            expires,
        } => (
            identity.clone(),
            json!({ "change": "revoke_session", "session": id, "expires": expires }),
        ),
        Change::SetKeyLimits {
            organisation,
            max_key_lifetime_seconds,
            max_active_keys,
        } => (
            organisation.clone(),
            json!({ "change": "set_key_limits", "max_active_keys": max_active_keys,
                    "max_key_lifetime_seconds": max_key_lifetime_seconds }),
        ),
        Change::CreateIdentityProvider {
            organisation,
            id,
            name,
            provider,
        } => (
            new(organisation, "identity_provider", id),
            json!({ "change": "create_identity_provider", "name": name, "provider": provider }),
        ),
        Change::UpdateIdentityProvider {
            path,
            name,
            provider,
        } => (
            path.clone(),
            json!({ "change": "update_identity_provider", "name": name, "provider": provider }),
        ),
        Change::SyncSignIn {
            user,
            sign_in,
            claims,
        } => (
            user.clone(),
            json!({ "change": "sync_sign_in", "sign_in": sign_in,
                    "claims": claims.keys().collect::<Vec<_>>() }),
        ),
        Change::DeleteIdentity { path, cascade } => (
            path.clone(),
            json!({ "change": "delete_identity", "cascade": cascade }),
        ),
        Change::SetDefaultDatabase { identity, database } => (
            identity.clone(),
            json!({ "change": "set_default_database", "database": database }),
        ),
        Change::CreateAccessKey {
            identity,
            key_id,
            description,
            expires_at,
            ..
        } => (
            format!("{identity}/access_key/{key_id}"),
            json!({ "change": "create_access_key", "description": description,
                    "expires_at": expires_at }),
        ),
        Change::UpdateAccessKey {
            path,
            status,
            description,
            expires_at,
        } => (
            path.clone(),
            json!({ "change": "update_access_key", "status": status, "description": description,
                    "expires_at": expires_at }),
        ),
        Change::DeleteAccessKey { path } => {
            (path.clone(), json!({ "change": "delete_access_key" }))
        }
        Change::CreateDatabase {
            organisation,
            id,
            name,
            description,
            backend,
        } => (
            new(organisation, "kvdb", id),
            json!({ "change": "create_database", "name": name, "description": description,
                    "backend": shown_backend(backend) }),
        ),
        Change::SetBackend { path, backend } => (
            path.clone(),
            json!({ "change": "set_backend", "backend": shown_backend(backend) }),
        ),
        Change::SetAdministration { path, on } => (
            path.clone(),
            json!({ "change": "set_administration", "on": on }),
        ),
        Change::UpdateDatabase {
            path,
            name,
            description,
        } => (
            path.clone(),
            json!({ "change": "update_database", "name": name, "description": description }),
        ),
        Change::CreateSnapshot {
            database,
            id,
            description,
        } => (
            format!("{database}/snapshot/{id}"),
            json!({ "change": "create_snapshot", "description": description }),
        ),
        Change::EndSnapshot { path, state } => (
            path.clone(),
            json!({ "change": "end_snapshot", "result": state }),
        ),
        Change::UpdateSnapshot { path, description } => (
            path.clone(),
            json!({ "change": "update_snapshot", "description": description }),
        ),
        Change::RestoreSnapshot {
            path,
            target,
            existing,
        } => (
            path.clone(),
            json!({ "change": "restore_snapshot", "target": target, "existing": existing }),
        ),
        Change::EndRestore { path, state } => (
            path.clone(),
            json!({ "change": "end_restore", "result": state }),
        ),
        Change::DeleteSnapshot { path } => (path.clone(), json!({ "change": "delete_snapshot" })),
        Change::DeleteDatabase { path } => (path.clone(), json!({ "change": "delete_database" })),
        Change::CreateTrust {
            id,
            trustor,
            trustee,
            policies: inputs,
            expires_at,
            kind,
            conditions,
        } => {
            let organisation = trustor.split('/').nth(1).unwrap_or_default();
            (
                new(organisation, "trust", id),
                json!({ "change": "create_trust", "trustor": trustor, "trustee": trustee,
                        "policies": policies(inputs), "expires_at": expires_at,
                        "kind": kind, "conditions": conditions }),
            )
        }
        Change::UpdateTrust {
            path,
            policies: inputs,
            expires_at,
            conditions,
        } => (
            path.clone(),
            json!({ "change": "update_trust", "policies": inputs.as_deref().map(policies),
                    "expires_at": expires_at, "conditions": conditions }),
        ),
        Change::AcceptTrust { path } => (path.clone(), json!({ "change": "accept_trust" })),
        Change::DeleteTrust { path } => (path.clone(), json!({ "change": "delete_trust" })),
        Change::PutResourcePolicy { path, document } => (
            path.clone(),
            json!({ "change": "put_resource_policy", "document": &document.text, "dialect": document.dialect.map(Dialect::name) }),
        ),
        Change::DeleteResourcePolicy { path } => {
            (path.clone(), json!({ "change": "delete_resource_policy" }))
        }
        Change::PutBoundary {
            identity,
            policies: inputs,
        } => (
            identity.clone(),
            json!({ "change": "put_boundary", "policies": policies(inputs) }),
        ),
        Change::DeleteBoundary { identity } => {
            (identity.clone(), json!({ "change": "delete_boundary" }))
        }
        Change::PutGuardrails {
            organisation,
            policies: inputs,
        } => (
            organisation.clone(),
            json!({ "change": "put_guardrails", "policies": policies(inputs) }),
        ),
        Change::SetVendorAliases {
            organisation,
            aliases,
        } => (
            organisation.clone(),
            json!({ "change": "set_vendor_aliases", "aliases": aliases }),
        ),
        Change::TransferOwnership {
            organisation,
            owner,
        } => (
            organisation.clone(),
            json!({ "change": "transfer_ownership", "owner": owner }),
        ),
        Change::CreatePolicy {
            organisation,
            id,
            name,
            document,
        } => (
            new(organisation, "policy", id),
            json!({ "change": "create_policy", "name": name, "document": &document.text, "dialect": document.dialect.map(Dialect::name) }),
        ),
        Change::UpdatePolicy {
            path,
            document,
            make_default,
        } => (
            path.clone(),
            json!({ "change": "update_policy", "document": &document.text,
                    "dialect": document.dialect.map(Dialect::name), "default": make_default }),
        ),
        Change::DeletePolicyVersion { path, version } => (
            path.clone(),
            json!({ "change": "delete_policy_version", "version": version }),
        ),
        Change::AttachPolicy { trust, policy } => (
            trust.clone(),
            json!({ "change": "attach_policy", "policy": policy }),
        ),
        Change::DetachPolicy { trust, policy } => (
            trust.clone(),
            json!({ "change": "detach_policy", "policy": policy }),
        ),
        Change::SetDefaultPolicyVersion { path, version } => (
            path.clone(),
            json!({ "change": "set_default_policy_version", "version": version }),
        ),
        Change::DeletePolicy { path } => (path.clone(), json!({ "change": "delete_policy" })),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_hash_is_kept() {
        let change = Change::CreateAccessKey {
            identity: "org/dev/programmatic_identity/app".to_owned(),
            key_id: "KWAKAAAAAAAAAAAAAAAA".to_owned(),
            secret_hash: [0xAB; 32],
            description: Some("laptop".to_owned()),
            expires_at: None,
            sealed_secret: None,
        };
        let record = record("system", None, &change, &[], UnixMillis(0));
        let text = serde_json::to_string(&record).unwrap().to_lowercase();
        assert!(!text.contains("abab") && !text.contains("171"), "{text}");
        assert!(text.contains("laptop"));
    }
}
