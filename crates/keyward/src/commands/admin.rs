//! `keyward admin`: what the operator does on the machine itself.

use serde_json::json;

use super::admin_user::{self, Operator};
use crate::Global;
use crate::dev::{self, MasterKeyArguments, MasterKeyKeeper};
use crate::failure::{Exit, Failure};
use crate::output::Output;

#[derive(Debug, clap::Subcommand)]
#[command(after_help = "Examples:
  keyward admin rotate-master-key
  KEYWARD_NEW_MASTER_KEY=$(openssl rand -base64 32) keyward admin rotate-master-key --to environment")]
pub(crate) enum Command {
    /// Seal every secret of a data directory under a new master key. Keyward must not be running
    /// on it.
    #[command(after_help = "Example:\n  keyward admin rotate-master-key --to file")]
    RotateMasterKey {
        /// Where the new key comes from.
        #[arg(long, value_enum, default_value = "file")]
        to: MasterKeyKeeper,
        #[command(flatten)]
        master_key: MasterKeyArguments,
    },
    /// The people of the deployment.
    #[command(subcommand)]
    User(admin_user::Command),
    /// Make a new key for signing sessions now, whether Keyward is running on the data directory or
    /// not; every 30 days one is made anyway. Sessions that were signed before go on to their end.
    #[command(after_help = "Example:\n  keyward admin rotate-signing-keys --end-sessions")]
    RotateSigningKeys {
        /// Forget the former keys, too: every session of temporary credentials ends.
        #[arg(long)]
        end_sessions: bool,
        #[command(flatten)]
        master_key: MasterKeyArguments,
    },
}

pub(crate) fn run(command: &Command, global: &Global, output: &Output) -> Result<(), Failure> {
    let (to, master_key) = match command {
        Command::RotateMasterKey { to, master_key } => (to, master_key),
        Command::User(command) => return admin_user::run(command, global, output),
        Command::RotateSigningKeys {
            end_sessions,
            master_key,
        } => {
            rotate_signing_keys(master_key, *end_sessions, global)?;
            let answer = json!({ "rotated": true, "sessions_ended": end_sessions });
            output.document(&answer, |_| {
                let ended = if *end_sessions {
                    "; every session has ended"
                } else {
                    ""
                };
                format!("sessions are signed with a new key{ended}")
            })?;
            return Ok(());
        }
    };
    let rotated = dev::rotate_master_key(master_key, *to, global)?;
    let answer = json!({ "key_id": rotated.key_id, "secrets": rotated.secrets });
    output.document(&answer, |_| {
        let plural = if rotated.secrets == 1 { "" } else { "s" };
        format!(
            "{} secret{plural} sealed under the new master key {}",
            rotated.secrets, rotated.key_id
        )
    })?;
    Ok(())
}

/// Rotates in the process that has the data directory, if one has; else in the directory itself.
fn rotate_signing_keys(
    master_key: &MasterKeyArguments,
    end_sessions: bool,
    global: &Global,
) -> Result<(), Failure> {
    match dev::rotate_signing_keys(master_key, end_sessions, global) {
        Err(failure) if failure.exit() == Exit::Conflict => {
            let body = json!({ "end_sessions": end_sessions });
            let operator = Operator::of(global)?;
            operator
                .call("POST", "rotate_signing_keys", &body)
                .map(drop)
        }
        done => done,
    }
}
