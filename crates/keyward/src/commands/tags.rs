//! `keyward tag`.

use serde_json::{Map, Value, json};

use super::{Context, DryRun};
use crate::failure::{Exit, Failure};

#[derive(Debug, clap::Subcommand)]
#[command(after_help = "Example:\n  keyward tag set kvdb/main team=payments stage=production")]
pub(crate) enum Command {
    /// Set tags; the others stay.
    #[command(
        after_help = "Example:\n  keyward tag set programmatic_identity/worker team=payments"
    )]
    Set {
        /// What is tagged: kvdb/main, programmatic_identity/worker, group/readers, org/dev.
        thing: String,
        /// KEY=VALUE; the value may be empty.
        #[arg(required = true, value_name = "KEY=VALUE")]
        tags: Vec<String>,
        #[command(flatten)]
        dry_run: DryRun,
    },
    /// Remove tags.
    #[command(
        visible_aliases = ["rm", "delete"],
        after_help = "Example:\n  keyward tag remove kvdb/main stage"
    )]
    Remove {
        /// What is tagged.
        thing: String,
        /// Keys of the tags that go.
        #[arg(required = true, value_name = "KEY")]
        keys: Vec<String>,
        #[command(flatten)]
        dry_run: DryRun,
    },
    /// List the tags of a thing.
    #[command(
        visible_alias = "ls",
        after_help = "Example:\n  keyward tag list kvdb/main"
    )]
    List {
        /// What is tagged.
        thing: String,
    },
}

pub(crate) fn run(command: Command, context: &Context<'_>) -> Result<(), Failure> {
    let (client, output) = (&context.client, context.output);
    let url = |thing: &str| {
        Ok::<_, Failure>(format!(
            "{}/tags",
            client.url("programmatic_identity", thing)?
        ))
    };
    match command {
        Command::Set {
            thing,
            tags,
            dry_run,
        } => {
            let mut set = Map::new();
            for tag in &tags {
                let Some((key, value)) = tag.split_once('=') else {
                    let text = format!("`{tag}` is no tag: KEY=VALUE, or KEY= for an empty value");
                    return Err(Failure::new(Exit::Usage, text));
                };
                set.insert(key.to_owned(), value.into());
            }
            let changed = client.patch(&dry_run.url(&url(&thing)?), &json!({ "tags": set }))?;
            dry_run.done(output, &changed, "tagged")
        }
        Command::Remove {
            thing,
            keys,
            dry_run,
        } => {
            let gone: Map<String, Value> = keys.into_iter().map(|key| (key, Value::Null)).collect();
            let changed = client.patch(&dry_run.url(&url(&thing)?), &json!({ "tags": gone }))?;
            dry_run.done(output, &changed, "removed tags of")
        }
        Command::List { thing } => {
            let shown = client.get(&url(&thing)?)?;
            let tags = shown["tags"].as_object().into_iter().flatten();
            let rows: Vec<Value> = tags
                .map(|(key, value)| json!({ "key": key, "value": value }))
                .collect();
            Ok(output.list(&rows, &[("key", "/key"), ("value", "/value")])?)
        }
    }
}
