//! `keyward whoami` and `keyward status`.

use serde_json::Value;

use super::Context;
use crate::failure::Failure;

/// Shows who you are.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  keyward whoami")]
pub(crate) struct Whoami {}

/// Shows what serves, and where.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  keyward status")]
pub(crate) struct Status {}

pub(crate) fn whoami(context: &Context<'_>) -> Result<(), Failure> {
    let client = &context.client;
    let mut me = client.get("/v1/whoami")?;
    let person = me["principal"].as_str().map(str::to_owned);
    let person = person.filter(|path| path.starts_with("user/"));
    if let (Some(person), Some(shown)) = (person, me.as_object_mut()) {
        // Of a person also where she belongs to, and how long she is signed in.
        let sessions = client.items(&format!("/v1/{person}/session"));
        let mut sessions = sessions.into_iter().flatten();
        if let Some(current) = sessions.find(|session| session["current"] == true) {
            let time = |field: &str| super::login::expiry(&current[field]);
            shown.insert("session".to_owned(), current["id"].clone());
            shown.insert("session_ends".to_owned(), time("expires_at").into());
            shown.insert("mfa".to_owned(), time("mfa").into());
        }
        let organisations = client.items("/v1/org").into_iter().flatten();
        let paths: Vec<Value> = organisations.map(|found| found["path"].clone()).collect();
        shown.insert("organisations".to_owned(), paths.into());
    }
    Ok(context.output.entity(&me)?)
}

pub(crate) fn status(context: &Context<'_>) -> Result<(), Failure> {
    let mut status = context.client.get("/v1/status")?;
    if let Some(object) = status.as_object_mut() {
        let url = context.client.profile().url.as_str();
        object.insert("api_url".to_owned(), Value::from(url));
    }
    Ok(context.output.entity(&status)?)
}
