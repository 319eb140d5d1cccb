//! `keyward account`: how you sign in, by yourself alone.

use serde_json::{Value, json};
use zeroize::Zeroizing;

use super::Context;
use crate::failure::{Exit, Failure};
use crate::output::printable;
use crate::secret_input::{new_password, secret_line};

#[derive(Debug, clap::Subcommand)]
#[command(after_help = "Examples:
  keyward login
  keyward account show
  keyward account totp")]
pub(crate) enum Command {
    /// Show how you sign in.
    #[command(after_help = "Example:\n  keyward account show")]
    Show,
    /// Change what you sign in with.
    #[command(after_help = "Example:\n  keyward account set-sign-in-name alice@example.com")]
    SetSignInName {
        /// The new sign-in name.
        sign_in_name: String,
    },
    /// Set your password, typed or read from standard input; all your sessions end.
    #[command(
        after_help = "Examples:\n  keyward account set-password\n  keyward account set-password < password.txt"
    )]
    SetPassword,
    /// Set an authenticator app up: shows its secret, reads a code of it, shows recovery codes.
    #[command(after_help = "Example:\n  keyward account totp")]
    Totp,
    /// Take the authenticator app away.
    #[command(after_help = "Example:\n  keyward account remove-totp")]
    RemoveTotp,
    /// Make new recovery codes; the old ones are void.
    #[command(after_help = "Example:\n  keyward account recovery-codes")]
    RecoveryCodes,
    /// Your passkeys.
    #[command(subcommand)]
    Passkey(Passkey),
}

#[derive(Debug, clap::Subcommand)]
#[command(after_help = "Example:\n  keyward account passkey list")]
pub(crate) enum Passkey {
    /// Add a passkey: opens the page of your account, since it takes a browser.
    #[command(after_help = "Examples:
  keyward account passkey add
  keyward account passkey add --no-browser")]
    Add {
        /// Only print the page's address.
        #[arg(long)]
        no_browser: bool,
    },
    /// List your passkeys.
    #[command(
        visible_alias = "ls",
        after_help = "Example:\n  keyward account passkey list"
    )]
    List,
    /// Give a passkey another name.
    #[command(after_help = "Example:\n  keyward account passkey rename 4711 Laptop")]
    Rename {
        /// Its id.
        id: String,
        /// Its new name.
        name: String,
    },
    /// Take a passkey away.
    #[command(
        visible_aliases = ["delete", "rm"],
        after_help = "Example:\n  keyward account passkey remove 4711"
    )]
    Remove {
        /// Its id.
        id: String,
    },
}

/// URL of whoever signed in.
fn me(context: &Context<'_>) -> Result<String, Failure> {
    let me = context.client.get("/v1/whoami")?;
    match me["principal"].as_str() {
        Some(path) if path.starts_with("user/") => Ok(format!("/v1/{path}")),
        _ => {
            let text = "this is for people who signed in: keyward login";
            Err(Failure::new(Exit::Unauthenticated, text))
        }
    }
}

fn codes(answer: &Value, context: &Context<'_>) -> Result<(), Failure> {
    let text = |answer: &Value| {
        let codes = answer["recovery_codes"].as_array();
        let codes: Vec<&str> = codes
            .into_iter()
            .flatten()
            .filter_map(Value::as_str)
            .collect();
        let codes = codes.join("\n");
        printable(&format!(
            "recovery codes, each good once, not shown again:\n{codes}"
        ))
    };
    Ok(context.output.document(answer, text)?)
}

pub(crate) fn run(command: Command, context: &Context<'_>) -> Result<(), Failure> {
    let (client, output) = (&context.client, context.output);
    let me = me(context)?;
    match command {
        Command::Show => context.show(&format!("{me}/sign_in")),
        Command::SetSignInName { sign_in_name } => {
            let body = json!({ "sign_in_name": sign_in_name });
            Ok(output.entity(&client.patch(&format!("{me}/sign_in"), &body)?)?)
        }
        Command::SetPassword => {
            let password = new_password()?;
            let body = Zeroizing::new(json!({ "password": &**password }).to_string());
            let changed = client.send("PUT", &format!("{me}/password"), Some(&body))?;
            Ok(output.document(&changed, |_| {
                "the password is set, and all sessions have ended: keyward login".to_owned()
            })?)
        }
        Command::Totp => {
            let offer = client.post(&format!("{me}/totp"), &json!({}))?;
            let of = |name: &str| offer[name].as_str().unwrap_or_default();
            // Shown to the person alone, and not to whoever reads the output.
            crate::output::note(&printable(&format!(
                "secret  {}\nuri     {}",
                of("secret"),
                of("uri")
            )));
            let code = secret_line("the code that the app shows: ")?;
            let body = json!({ "enrolment": offer["enrolment"], "code": &**code });
            let body = Zeroizing::new(body.to_string());
            codes(
                &client.send("PUT", &format!("{me}/totp"), Some(&body))?,
                context,
            )
        }
        Command::RemoveTotp => Ok(output.entity(&client.delete(&format!("{me}/totp"))?)?),
        Command::RecoveryCodes => {
            let answer = client.post(&format!("{me}/recovery_codes"), &json!({}))?;
            codes(&answer, context)
        }
        Command::Passkey(command) => passkey(command, &me, context),
    }
}

fn passkey(command: Passkey, me: &str, context: &Context<'_>) -> Result<(), Failure> {
    let (client, output) = (&context.client, context.output);
    let one = |id: &str| format!("{me}/passkey/{}", super::sts::percent(id));
    match command {
        Passkey::Add { no_browser } => {
            let base = client.profile().url.trim_end_matches('/');
            let page = format!("{base}/ui/account");
            let opened = !no_browser && super::login::open_browser(&page);
            let text = match opened {
                true => format!("opened {page}: add the passkey there"),
                false => format!("add the passkey in a browser: {page}"),
            };
            let shown = json!({ "url": page, "opened": opened });
            Ok(output.document(&shown, |_| printable(&text))?)
        }
        Passkey::List => {
            let columns = [
                ("id", "/id"),
                ("name", "/name"),
                ("added", "/added"),
                ("used", "/used"),
            ];
            context.list(&format!("{me}/passkey"), &columns)
        }
        Passkey::Rename { id, name } => {
            Ok(output.entity(&client.patch(&one(&id), &json!({ "name": name }))?)?)
        }
        Passkey::Remove { id } => Ok(output.entity(&client.delete(&one(&id))?)?),
    }
}
