//! What the commands of every kind of entity share.

use serde_json::{Value, json};

use super::Context;
use crate::failure::{Exit, Failure};
use crate::output::{self, Output};

/// What a command that changes something takes.
#[derive(Clone, Copy, Debug, clap::Args)]
pub(crate) struct DryRun {
    /// Decide and check, but change nothing.
    #[arg(long)]
    pub(super) dry_run: bool,
}

impl DryRun {
    /// A URL that asks for no more than that.
    pub(super) fn url(self, url: &str) -> String {
        match (self.dry_run, url.contains('?')) {
            (false, _) => url.to_owned(),
            (true, false) => format!("{url}?dry_run=true"),
            (true, true) => format!("{url}&dry_run=true"),
        }
    }

    /// Creates an entity in a collection: `body` has its id.
    pub(super) fn create(
        self,
        collection: &str,
        body: &Value,
        context: &Context<'_>,
    ) -> Result<(), Failure> {
        let made = context.client.post(&self.url(collection), body);
        let id = body["id"].as_str().unwrap_or_default();
        let made = made.map_err(|failure| taken(failure, collection, id, context))?;
        self.done(context.output, &made, "created")
    }

    /// Says what was done to an entity, or would be.
    pub(super) fn done(self, output: &Output, answer: &Value, what: &str) -> Result<(), Failure> {
        let path = answer.get("path").and_then(Value::as_str).unwrap_or("");
        let text = match (self.dry_run, path) {
            (true, "") => format!("would have {what} it"),
            (true, path) => format!("would have {what} {path}"),
            (false, path) => format!("{what} {path}"),
        };
        output.document(answer, |_| text)?;
        let warnings = answer.get("warnings").and_then(Value::as_array);
        for warning in warnings.into_iter().flatten() {
            let of = |name: &str| warning.get(name).map(output::cell).unwrap_or_default();
            let (line, column) = (of("line"), of("column"));
            let (severity, code) = (of("severity"), of("code"));
            output::note(&format!(
                "{severity} {code} in line {line}, column {column}: {}",
                of("message")
            ));
        }
        Ok(())
    }
}

/// An entity to be, of which nothing is said but its name.
#[derive(Debug, clap::Args)]
pub(crate) struct Creation {
    /// Its id, for ever: a-z, 0-9 and -.
    id: String,
    /// What people call it.
    #[arg(long)]
    name: Option<String>,
    #[command(flatten)]
    dry_run: DryRun,
}

impl Creation {
    pub(super) fn run(self, collection: &str, context: &Context<'_>) -> Result<(), Failure> {
        let body = json!({ "id": self.id, "name": self.name });
        self.dry_run.create(collection, &body, context)
    }
}

/// A new name of an entity.
#[derive(Debug, clap::Args)]
pub(crate) struct Renaming {
    /// Its id.
    id: String,
    /// Its new name; without one the name is taken away.
    name: Option<String>,
    #[command(flatten)]
    dry_run: DryRun,
}

impl Renaming {
    pub(super) fn run(self, kind: &str, context: &Context<'_>) -> Result<(), Failure> {
        let url = self.dry_run.url(&context.client.url(kind, &self.id)?);
        let changed = context.client.patch(&url, &json!({ "name": self.name }))?;
        self.dry_run.done(context.output, &changed, "renamed")
    }
}

/// An entity to be gone, alone or with what depends on it.
#[derive(Debug, clap::Args)]
pub(crate) struct Deletion {
    /// Its id.
    id: String,
    /// Delete its trusts, too.
    #[arg(long)]
    cascade: bool,
    #[command(flatten)]
    dry_run: DryRun,
}

impl Deletion {
    pub(super) fn run(self, kind: &str, context: &Context<'_>) -> Result<(), Failure> {
        let url = context.client.url(kind, &self.id)?;
        let url = self.dry_run.url(&format!("{url}?cascade={}", self.cascade));
        let gone = context.client.delete(&url).map_err(in_use)?;
        self.dry_run.done(context.output, &gone, "deleted")
    }
}

/// Whether there is nothing at a URL, or nothing that the caller may see.
pub(super) fn is_missing(url: &str, context: &Context<'_>) -> bool {
    let found = context.client.get(url);
    found.is_err_and(|failure| failure.exit() == Exit::NotFound)
}

/// Why an id cannot be had: what has it, if the caller may see that.
pub(super) fn taken(
    failure: Failure,
    collection: &str,
    id: &str,
    context: &Context<'_>,
) -> Failure {
    let url = format!("{collection}/{id}");
    let path = url.strip_prefix("/v1/").unwrap_or(&url);
    match failure.code() {
        Some("not_available") if context.client.get(&url).is_ok() => {
            failure.with_text(output::printable(&format!("`{path}` exists already")))
        }
        Some("not_available") => failure.with_hint("an id that was deleted is not given again"),
        _ => failure,
    }
}

/// What to do when something is to be created that exists already.
pub(super) fn exists(failure: Failure, kind: &str, id: &str, context: &Context<'_>) -> Failure {
    let there = failure.exit() == Exit::Conflict
        && context
            .client
            .url(kind, id)
            .is_ok_and(|url| context.client.get(&url).is_ok());
    if !there {
        return failure;
    }
    let short = id.rsplit('/').next().unwrap_or(id);
    let text = format!("{kind} `{short}` exists: `keyward {kind} put {short}` changes it");
    Failure::new(Exit::Conflict, text)
}

/// What to do when other things depend on what was to be deleted, and may go with it.
pub(super) fn in_use(failure: Failure) -> Failure {
    match failure.code() {
        Some("delete_conflict") => {
            failure.with_hint("delete these first, or all together with --cascade")
        }
        _ => failure,
    }
}

/// What to do when other things depend on what was to be deleted, and are deleted by name alone.
pub(super) fn in_use_by_name(failure: Failure) -> Failure {
    match failure.code() {
        Some("delete_conflict") => failure.with_hint("delete or change these first"),
        _ => failure,
    }
}
