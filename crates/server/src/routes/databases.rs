//! Databases: what they are called, and where their data is.

use std::sync::Arc;
use std::time::Duration;

use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use keyward_auth::backend_purpose;
use keyward_iam::{Backend, Change};
use serde::Deserialize;
use serde_json::{Value, json};
use zeroize::Zeroizing;

use super::entities::{ID, NAME, NEW_NAME, describe, list};
use super::roles::{check_description, given};
use super::{Endpoint, Target, delete, get, patch, post, put};
use crate::api::Call;
use crate::body::Body;
use crate::problem::Problem;
use crate::query::Query;
use crate::show;

/// What is known of the server behind a database, by path: made by whoever looks.
pub type HealthSource = Arc<dyn Fn(&str) -> Option<Health> + Send + Sync>;

/// Whether the server behind a database answers.
#[derive(Clone, Debug)]
pub struct Health {
    /// Whether it does.
    pub up: bool,
    /// What was found, for people.
    pub text: &'static str,
    /// When it was looked at last.
    pub checked_at: keyward_iam::UnixMillis,
    /// Since when it is so.
    pub since: keyward_iam::UnixMillis,
    /// How long the answer took.
    pub took: Duration,
}

const ALL: &str = "/v1/org/{organisation}/kvdb";
const ONE: &str = "/v1/org/{organisation}/kvdb/{id}";
const DESCRIPTION: (&str, &str, &str) = (
    "description",
    "string?",
    "what it is for; null takes it away",
);

/// Longest password of a backend, in bytes.
const MAX_PASSWORD: usize = 4096;

/// Time to look a name up.
const PATIENCE: Duration = Duration::from_secs(3);

pub(super) fn endpoints() -> Vec<Endpoint> {
    let update = "kvdb:Update on it";
    vec![
        get(ALL, list)
            .tells(
                "Lists the databases of an organisation.",
                "kvdb:List on org/<organisation>",
            )
            .lists(),
        post(ALL, create)
            .tells(
                "Creates a database, on the embedded engine unless said otherwise.",
                "kvdb:Create on org/<organisation>; with a server as backend kvdb:SetBackend on it",
            )
            .takes(&[
                ID,
                NAME,
                DESCRIPTION,
                (
                    "backend",
                    "object?",
                    "{\"type\": \"embedded\"}, or {\"type\": \"server\", \"address\": \"host:port\", \"user\"?, \"password\"?}: the password is sealed and never shown",
                ),
            ])
            .creates(),
        get(ONE, describe).tells("Shows a database.", "kvdb:Describe on it"),
        patch(ONE, change)
            .tells("Renames a database, or changes what it is for.", update)
            .takes(&[NEW_NAME, DESCRIPTION]),
        put(ONE, change)
            .tells("Renames a database, or changes what it is for.", update)
            .takes(&[NEW_NAME, DESCRIPTION]),
        delete(ONE, remove)
            .tells("Deletes a database; what is in the embedded engine is gone.", "kvdb:Delete on it")
            .asks(&[("confirm", "string", "its id: what is deleted cannot be had back")]),
        get("/v1/org/{organisation}/kvdb/{id}/health", health).tells(
            "Shows whether the server behind a database answers, as it was found at the last look.",
            "kvdb:Describe on it",
        ),
        put(
            "/v1/org/{organisation}/kvdb/{id}/administration",
            set_administration,
        )
        .tells(
            "Turns administrative commands on or off; the operator must permit them, too.",
            "kvdb:SetAdministration on it",
        )
        .takes(&[("on", "boolean", "on or off")]),
        put("/v1/org/{organisation}/kvdb/{id}/backend", set_backend)
            .tells(
                "Puts a database on the embedded engine, or on a server whose address the operator permits.",
                "kvdb:SetBackend on it",
            )
            .takes(&[
                ("type", "string", "`embedded` or `server`"),
                ("address", "string?", "of a server: host:port"),
                ("user", "string?", "of a server: its native user; left out: its default user"),
                ("password", "string?", "of a server: sealed, and never shown"),
            ]),
    ]
}

/// A backend as a caller names it.
#[derive(Deserialize)]
#[serde(tag = "type", rename_all = "snake_case", deny_unknown_fields)]
enum Named {
    Embedded {},
    Server {
        address: String,
        user: Option<String>,
        password: Option<Secret>,
    },
}

/// A password on its way to be sealed.
#[derive(Deserialize)]
#[serde(from = "String")]
struct Secret(Zeroizing<String>);

impl From<String> for Secret {
    fn from(text: String) -> Self {
        Self(Zeroizing::new(text))
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Create {
    id: String,
    name: Option<String>,
    description: Option<String>,
    backend: Option<Named>,
}

/// `host:port` in one spelling.
fn address(text: &str) -> Result<String, Problem> {
    let refuse = || {
        Problem::invalid("`address` is host:port, as `db.example.com:6379` or `[2001:db8::1]:6379`")
    };
    let (host, port) = text.rsplit_once(':').ok_or_else(refuse)?;
    let number = port.parse::<u16>().ok().filter(|port| *port != 0);
    let number = number.filter(|number| number.to_string() == port);
    let number = number.ok_or_else(refuse)?;
    if let Some(inner) = host
        .strip_prefix('[')
        .and_then(|host| host.strip_suffix(']'))
    {
        let ip: std::net::Ipv6Addr = inner.parse().map_err(|_| refuse())?;
        return Ok(format!("[{ip}]:{number}"));
    }
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'.' || byte == b'-';
    if host.is_empty() || host.len() > 253 || !host.bytes().all(fits) {
        return Err(refuse());
    }
    Ok(format!("{}:{number}", host.to_ascii_lowercase()))
}

/// The backend that a caller named for a database. Only who may set backends learns where a name
/// leads and what is permitted.
async fn backend(call: &Call, path: &str, named: Named) -> Result<Backend, Problem> {
    let Named::Server {
        address: text,
        user,
        password,
    } = named
    else {
        return Ok(Backend::Embedded);
    };
    if let Some(decision) = call.decide("kvdb:SetBackend", path)
        && !decision.is_allow()
    {
        return Err(call.denied(&decision));
    }
    let address = address(&text)?;
    if user.as_ref().is_some_and(|user| {
        user.is_empty() || user.len() > 255 || user.chars().any(|c| c.is_control() || c == ' ')
    }) {
        return Err(Problem::invalid(
            "`user` is a name without blanks, of at most 255 bytes",
        ));
    }
    if user.is_some() && password.is_none() {
        return Err(Problem::invalid("a `user` logs in with a `password`"));
    }
    let organisation = path.split('/').nth(1).unwrap_or_default();
    let looked_up = call.api.backends.resolve(organisation, &address);
    match tokio::time::timeout(PATIENCE, looked_up).await {
        Ok(Ok(_)) => {}
        Ok(Err(error)) if error.kind() == std::io::ErrorKind::PermissionDenied => {
            let detail = format!(
                "`{address}` is not permitted as a backend of org/{organisation}: which addresses are is operator configuration (`[[backends.permit]]`)"
            );
            return Err(Problem::new(
                StatusCode::UNPROCESSABLE_ENTITY,
                "backend_not_permitted",
                detail,
            ));
        }
        _ => {
            let detail = format!("`{address}`: the name leads to no address now");
            return Err(Problem::invalid(detail));
        }
    }
    let sealed = match password {
        None => None,
        Some(Secret(password)) if (1..=MAX_PASSWORD).contains(&password.len()) => {
            let sealed = call
                .api
                .master_key
                .seal(&backend_purpose(path), password.as_bytes());
            Some(sealed.into_boxed_slice())
        }
        Some(_) => {
            let detail = format!("`password` has 1 to {MAX_PASSWORD} bytes");
            return Err(Problem::invalid(detail));
        }
    };
    Ok(Backend::Server {
        address,
        user,
        password: sealed,
        operator: false,
    })
}

async fn create(call: Call, target: Target, Body(body): Body<Create>) -> Result<Response, Problem> {
    if let Err(error) = body.id.parse::<keyward_iam::Slug>() {
        return Err(Problem::invalid(error.to_string()));
    }
    check_description(body.description.as_deref())?;
    let path = format!("{}/{}", target.0, body.id);
    let backend = match body.backend {
        None => Backend::Embedded,
        Some(named) => backend(&call, &path, named).await?,
    };
    let change = Change::CreateDatabase {
        organisation: target.organisation().to_owned(),
        id: body.id,
        name: body.name,
        description: body.description,
        backend,
    };
    call.change_and_show(change, &path, StatusCode::CREATED)
        .await
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Update {
    #[serde(default, deserialize_with = "given")]
    name: Option<Option<String>>,
    #[serde(default, deserialize_with = "given")]
    description: Option<Option<String>>,
}

async fn change(call: Call, target: Target, Body(body): Body<Update>) -> Result<Response, Problem> {
    if body.name.is_none() && body.description.is_none() {
        let text = "what is to change? give `name` or `description`";
        return Err(Problem::invalid(text));
    }
    check_description(body.description.as_ref().and_then(|text| text.as_deref()))?;
    let path = target.0;
    let change = Change::UpdateDatabase {
        path: path.clone(),
        name: body.name,
        description: body.description,
    };
    call.change_and_show(change, &path, StatusCode::OK).await
}

async fn set_backend(
    call: Call,
    target: Target,
    Body(body): Body<Named>,
) -> Result<Response, Problem> {
    let path = target.of("backend").to_owned();
    let change = Change::SetBackend {
        backend: backend(&call, &path, body).await?,
        path: path.clone(),
    };
    call.change_and_show(change, &path, StatusCode::OK).await
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Administration {
    on: bool,
}

async fn set_administration(
    call: Call,
    target: Target,
    Body(body): Body<Administration>,
) -> Result<Response, Problem> {
    let path = target.of("administration").to_owned();
    let change = Change::SetAdministration {
        path: path.clone(),
        on: body.on,
    };
    call.change_and_show(change, &path, StatusCode::OK).await
}

#[derive(Deserialize)]
struct Confirm {
    confirm: Option<String>,
}

async fn remove(
    call: Call,
    target: Target,
    Query(query): Query<Confirm>,
) -> Result<Response, Problem> {
    let path = target.0;
    let id = path.rsplit('/').next().unwrap_or_default();
    if query.confirm.as_deref() != Some(id) {
        // Only who may delete it is asked for more.
        if let Some(decision) = call.decide("kvdb:Delete", &path)
            && !decision.is_allow()
        {
            return Err(call.denied(&decision));
        }
        if call.directory.database_at(&path).is_none() {
            return Err(Problem::not_found(&path));
        }
        return Err(Problem::new(
            StatusCode::UNPROCESSABLE_ENTITY,
            "confirmation_needed",
            format!("what is in `{path}` cannot be had back: say so with `?confirm={id}`"),
        ));
    }
    let change = Change::DeleteDatabase { path: path.clone() };
    call.change_and_show(change, &path, StatusCode::OK).await
}

/// How long an answer waits for the first look at a server: longer than a look takes.
const FIRST_LOOK: Duration = Duration::from_millis(4500);

/// What is known of the server behind a database. One that was just named is being looked at.
async fn first_look(call: &Call, path: &str) -> Option<Health> {
    let source = call.api.health.as_ref()?;
    let found = async {
        loop {
            if let Some(health) = source(path) {
                return health;
            }
            tokio::time::sleep(Duration::from_millis(25)).await;
        }
    };
    tokio::time::timeout(FIRST_LOOK, found).await.ok()
}

async fn health(call: Call, target: Target) -> Result<Response, Problem> {
    let path = target.of("health");
    call.read("kvdb:Describe", path)?;
    let database = call
        .directory
        .database_at(path)
        .and_then(|ix| call.directory.database(ix));
    let Some(database) = database else {
        return Err(Problem::not_found(path));
    };
    let known = match database.backend {
        Backend::Embedded => {
            return Ok(axum::Json(json!({
                "path": path, "state": "up", "text": "it is inside Keyward",
            }))
            .into_response());
        }
        Backend::Server { .. } => first_look(&call, path).await,
    };
    let shown = match known {
        None => json!({ "path": path, "state": "unknown", "text": "nobody has looked yet" }),
        Some(health) => json!({
            "path": path,
            "state": if health.up { "up" } else { "down" },
            "text": health.text,
            "checked_at": show::time(health.checked_at),
            "since": show::time(health.since),
            "latency_micros": if health.up {
                Value::from(u64::try_from(health.took.as_micros()).unwrap_or(u64::MAX))
            } else {
                Value::Null
            },
        }),
    };
    Ok(axum::Json(shown).into_response())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses() {
        let cases = [
            ("DB.Example.com:6379", Some("db.example.com:6379")),
            ("10.0.0.1:6379", Some("10.0.0.1:6379")),
            ("[2001:DB8:0::1]:6379", Some("[2001:db8::1]:6379")),
            ("db.example.com", None),
            ("db:0", None),
            ("db:06379", None),
            ("db:65536", None),
            ("db:+1", None),
            (":6379", None),
            ("redis://db:6379", None),
            ("user@db:6379", None),
            ("a b:6379", None),
            ("2001:db8::1:6379", None),
            ("", None),
        ];
        for (text, expected) in cases {
            assert_eq!(address(text).ok().as_deref(), expected, "{text}");
        }
    }
}
