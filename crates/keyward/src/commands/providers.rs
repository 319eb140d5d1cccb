//! `keyward provider`: issuers of tokens and certificates that an organisation trusts.

use serde_json::{Map, Value, json};
use zeroize::Zeroizing;

use super::entity::{Deletion, Renaming};
use super::{Context, DryRun};
use crate::failure::{Exit, Failure};
use crate::output::{cell, printable};
use crate::policy_argument;

const KIND: &str = "identity_provider";

#[derive(Debug, clap::Subcommand)]
#[command(after_help = "Examples:
  keyward provider create github --issuer https://token.actions.githubusercontent.com --audience https://keyward.example.com/org/acme --shared
  keyward trust create identity_provider/github --trustor role/deployer --conditions '{\"StringEquals\":{\"keyward:Token/aud\":\"https://keyward.example.com/org/acme\",\"keyward:Token/sub\":\"repo:acme/app:ref:refs/heads/main\"}}'")]
pub(crate) enum Command {
    /// Create an identity provider.
    #[command(after_help = "Examples:
  keyward provider create github --issuer https://token.actions.githubusercontent.com --audience https://keyward.example.com/org/acme --shared
  keyward provider create staff --type sign_in --sign-in corporate --mapping '{\"claim\":\"groups\",\"values\":[\"dev\"],\"to\":[\"role/developer\"]}'
  keyward provider create ca --type certificate_authority --pem ca.pem --mapping '{\"name\":\"uri\",\"value\":\"spiffe://acme.example/ci\",\"identity\":\"programmatic_identity/ci\"}'")]
    Create {
        /// Its id, for ever: a-z, 0-9 and -.
        id: String,
        /// What it is.
        #[arg(long = "type", value_name = "TYPE", default_value = "oidc",
              value_parser = ["oidc", "sign_in", "certificate_authority"])]
        kind: String,
        /// What people call it.
        #[arg(long)]
        name: Option<String>,
        #[command(flatten)]
        settings: Settings,
        #[command(flatten)]
        dry_run: DryRun,
    },
    /// List identity providers.
    #[command(visible_alias = "ls", after_help = "Example:\n  keyward provider list")]
    List,
    /// Show an identity provider.
    #[command(visible_aliases = ["get", "info"], after_help = "Example:\n  keyward provider describe github")]
    Describe {
        /// Its id.
        id: String,
    },
    /// Change settings of an identity provider; the others stay.
    #[command(
        after_help = "Example:\n  keyward provider update github --max-token-age-seconds 600"
    )]
    Update {
        /// Its id.
        id: String,
        #[command(flatten)]
        settings: Settings,
        #[command(flatten)]
        dry_run: DryRun,
    },
    /// Rename an identity provider.
    #[command(after_help = "Example:\n  keyward provider rename github \"GitHub Actions\"")]
    Rename(Renaming),
    /// Tell what a token of the provider would give, and which mapping failed on it.
    #[command(after_help = "Example:\n  keyward provider test-token github - < token.jwt")]
    TestToken {
        /// Its id.
        id: String,
        /// The file that the token is in, or `-`.
        file: String,
    },
    /// Delete an identity provider, with what it manages.
    #[command(
        visible_alias = "rm",
        after_help = "Example:\n  keyward provider delete github --cascade"
    )]
    Delete(Deletion),
}

/// Settings of a provider.
#[derive(Debug, clap::Args)]
pub(crate) struct Settings {
    /// What tokens say in `iss`, exactly.
    #[arg(long, value_name = "URL")]
    issuer: Option<String>,
    /// What tokens for this organisation say in `aud`; may be given several times.
    #[arg(long = "audience", value_name = "AUDIENCE")]
    audiences: Vec<String>,
    /// How tokens may be signed, such as RS256; may be given several times.
    #[arg(long = "algorithm", value_name = "NAME")]
    algorithms: Vec<String>,
    /// File with the issuer's keys (a JWK set), where they cannot be fetched.
    #[arg(long, value_name = "FILE")]
    jwks: Option<String>,
    /// Many customers share the issuer: trusts must fix the subject.
    #[arg(long)]
    shared: bool,
    /// The oldest token that is taken: 60 to 86400.
    #[arg(long, value_name = "SECONDS")]
    max_token_age_seconds: Option<u32>,
    /// Id of the provider in the deployment's configuration with which people sign in.
    #[arg(long, value_name = "ID")]
    sign_in: Option<String>,
    /// File with the certificate of an authority.
    #[arg(long, value_name = "FILE")]
    pem: Option<String>,
    /// A mapping, as JSON; may be given several times. Of claims: {"claim", "values", "to"}; of
    /// names in certificates: {"name": "uri" or "dns", "value", "identity"}.
    #[arg(long = "mapping", value_name = "JSON")]
    mappings: Vec<String>,
}

fn json_of(text: &str, what: &str) -> Result<Value, Failure> {
    serde_json::from_str(text)
        .map_err(|error| Failure::new(Exit::Usage, format!("{what} is no JSON: {error}")))
}

impl Settings {
    fn body(&self) -> Result<Map<String, Value>, Failure> {
        let mut body = Map::new();
        let mut set = |name: &str, value: Option<Value>| {
            if let Some(value) = value {
                body.insert(name.to_owned(), value);
            }
        };
        let list = |items: &[String]| (!items.is_empty()).then(|| json!(items));
        set("issuer", self.issuer.clone().map(Value::from));
        set("audiences", list(&self.audiences));
        set("algorithms", list(&self.algorithms));
        set("shared", self.shared.then_some(true.into()));
        let age = self.max_token_age_seconds;
        set("max_token_age_seconds", age.map(Value::from));
        set("sign_in", self.sign_in.clone().map(Value::from));
        if let Some(file) = &self.jwks {
            set("jwks", Some(json_of(&policy_argument::text(file)?, file)?));
        }
        if let Some(file) = &self.pem {
            set("pem", Some(policy_argument::text(file)?.into()));
        }
        if !self.mappings.is_empty() {
            let mappings = self.mappings.iter().map(|text| json_of(text, "--mapping"));
            set("mappings", Some(mappings.collect::<Result<Value, _>>()?));
        }
        Ok(body)
    }
}

pub(crate) fn run(command: Command, context: &Context<'_>) -> Result<(), Failure> {
    let (client, output) = (&context.client, context.output);
    match command {
        Command::Create {
            id,
            kind,
            name,
            settings,
            dry_run,
        } => {
            let mut body = settings.body()?;
            body.insert("id".to_owned(), id.into());
            body.insert("type".to_owned(), kind.into());
            if let Some(name) = name {
                body.insert("name".to_owned(), name.into());
            }
            let url = dry_run.url(&client.collection(KIND)?);
            dry_run.done(output, &client.post(&url, &Value::Object(body))?, "created")
        }
        Command::List => {
            let columns = [
                ("id", "/id"),
                ("name", "/name"),
                ("type", "/type"),
                ("issuer", "/issuer"),
                ("created", "/created/at"),
            ];
            context.list(&client.collection(KIND)?, &columns)
        }
        Command::Describe { id } => context.show(&client.url(KIND, &id)?),
        Command::Update {
            id,
            settings,
            dry_run,
        } => {
            let body = settings.body()?;
            if body.is_empty() {
                return Err(Failure::new(
                    Exit::Usage,
                    "nothing to change: give a setting",
                ));
            }
            let url = dry_run.url(&client.url(KIND, &id)?);
            let changed = client.patch(&url, &Value::Object(body))?;
            dry_run.done(output, &changed, "changed")
        }
        Command::Rename(renaming) => renaming.run(KIND, context),
        Command::TestToken { id, file } => {
            let token = Zeroizing::new(policy_argument::text(&file)?);
            let body = Zeroizing::new(json!({ "token": token.trim() }).to_string());
            let url = format!("{}/test_token", client.url(KIND, &id)?);
            let told = client.send("POST", &url, Some(&body))?;
            Ok(output.document(&told, about_token)?)
        }
        Command::Delete(deletion) => deletion.run(KIND, context),
    }
}

/// What a token is, says and would give, for people.
fn about_token(told: &Value) -> String {
    let mut text = match told["problem"].as_str() {
        None => "verified   yes".to_owned(),
        Some(problem) => format!("verified   no: {}", printable(problem)),
    };
    let mut line = |line: &str| {
        text.push('\n');
        text.push_str(line);
    };
    for (name, field) in [
        ("issuer", "issuer"),
        ("subject", "subject"),
        ("audiences", "audiences"),
    ] {
        match &told[field] {
            Value::Null => {}
            value => line(&format!("{name:9}  {}", values(value))),
        }
    }
    if let Some(claims) = told["claims"].as_object() {
        line("\nClaims, as conditions name them (keyward:Token/<claim>):");
        for (claim, value) in claims {
            line(&format!("  {} = {}", printable(claim), values(value)));
        }
    }
    let mut list = |title: &str, field: &str, matches: &str, what: &dyn Fn(&Value) -> String| {
        let items = told[field].as_array().filter(|items| !items.is_empty());
        for (n, item) in items.into_iter().flatten().enumerate() {
            if n == 0 {
                line(&format!("\n{title}:"));
            }
            let answer = match item[matches].as_bool() {
                Some(true) => "yes",
                _ => "no ",
            };
            line(&format!("  {answer}  {}", what(item)));
            if let Some(reason) = item["reason"].as_str() {
                line(&format!("       {}", printable(reason)));
            }
        }
    };
    list("Mappings", "mappings", "matches", &|mapping| {
        let claim = printable(mapping["claim"].as_str().unwrap_or_default());
        let (taken, to) = (values(&mapping["values"]), values(&mapping["to"]));
        format!("{claim}: {taken} -> {to}")
    });
    list("Trusts of roles", "roles", "lets_in", &|role| {
        format!("{} by {}", values(&role["role"]), values(&role["trust"]))
    });
    text
}

/// One value or several, beside one another.
fn values(value: &Value) -> String {
    match value {
        Value::Array(all) => all.iter().map(cell).collect::<Vec<_>>().join(", "),
        one => cell(one),
    }
}
