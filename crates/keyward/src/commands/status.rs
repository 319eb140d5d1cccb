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
    let me = context.client.get("/v1/whoami")?;
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
