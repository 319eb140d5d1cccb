//! `keyward user`.

use super::Context;
use crate::failure::Failure;

const KIND: &str = "user";

#[derive(Debug, clap::Subcommand)]
#[command(after_help = "Example:\n  keyward user describe user/abc")]
pub(crate) enum Command {
    /// Show a user: a person of the deployment.
    #[command(visible_aliases = ["get", "info"], after_help = "Example:\n  keyward user describe user/abc")]
    Describe {
        /// Its id or path.
        id: String,
    },
}

pub(crate) fn run(command: Command, context: &Context<'_>) -> Result<(), Failure> {
    match command {
        Command::Describe { id } => {
            let id = id.strip_prefix("user/").unwrap_or(&id);
            let url = context.client.url(KIND, &format!("user/{id}"))?;
            Ok(context.output.entity(&context.client.get(&url)?)?)
        }
    }
}
