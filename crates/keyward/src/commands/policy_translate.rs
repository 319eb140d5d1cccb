//! `keyward policy translate`: a document in another dialect, without a server.

use keyward_policy::{PolicyKind, TranslationNames, read_as, translate};
use serde_json::json;

use super::policy_check::DialectName;
use crate::Global;
use crate::failure::{Exit, Failure};
use crate::output::{Format, Output, note, printable};
use crate::policy_argument;

/// Write a document in another dialect. Runs without a server.
///
/// The translation means the same, or is refused with the reasons (exit code 7). It never allows
/// more, also under later versions of the catalogue. With --narrow it may allow less or deny more;
/// each loss is told on standard error.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  keyward policy translate --from aws --to native policy.json
  keyward policy translate --from native --to tencent --account 100000000001 policy.json
  keyward policy translate --from acl --to native --database sessions rules.txt
  keyward policy translate --from native --to alibaba --narrow - < policy.json")]
pub(crate) struct Arguments {
    /// The dialect that it is written in.
    #[arg(long, value_enum)]
    from: DialectName,
    /// The dialect to write.
    #[arg(long, value_enum)]
    to: DialectName,
    /// Permit a translation that allows less, and list what is lost.
    #[arg(long)]
    narrow: bool,
    /// Number of the organisation's account at the vendor.
    #[arg(long, value_name = "NUMBER", default_value = "123456789012")]
    account: String,
    /// Region of the databases at the vendor.
    #[arg(long)]
    region: Option<String>,
    /// Id of the database that ACL rules are of; else the one that the document names, or `main`.
    #[arg(long, value_name = "ID")]
    database: Option<String>,
    /// A file, `-`, or the document itself.
    #[arg(value_name = "FILE")]
    document: String,
}

pub(crate) fn run(arguments: &Arguments, global: &Global, output: &Output) -> Result<(), Failure> {
    if arguments.account.is_empty() || !arguments.account.bytes().all(|b| b.is_ascii_digit()) {
        return Err(Failure::new(Exit::Usage, "--account is a number"));
    }
    let text = policy_argument::document(&arguments.document)?;
    let organisation = global.profile.organisation.as_deref().unwrap_or("test");
    let (from, to) = (arguments.from.dialect(), arguments.to.dialect());
    let policy = read_as(Some(from), &text, PolicyKind::Identity, organisation)
        .map_err(|findings| Failure::new(Exit::Findings, printable(&findings.to_string())))?;
    let names = TranslationNames {
        organisation: organisation.to_owned(),
        account: arguments.account.clone(),
        region: arguments.region.clone(),
        database: arguments.database.clone(),
    };
    let translated = match translate(&policy, to, &names, arguments.narrow) {
        Ok(translated) => translated,
        Err(refusal) => {
            if output.format() == Format::Json {
                output
                    .line(&json!({ "error": "refused", "reasons": refusal.reasons }).to_string())?;
            }
            return Err(Failure::new(
                Exit::Findings,
                printable(&refusal.to_string()),
            ));
        }
    };
    match output.format() {
        Format::Json => {
            let document = json!({
                "dialect": to.name(), "document": translated.text, "losses": translated.losses,
            });
            output.line(&document.to_string())?;
        }
        _ => {
            output.line(translated.text.trim_end())?;
            for loss in &translated.losses {
                note(&printable(&format!("lost: {loss}")));
            }
        }
    }
    Ok(())
}
