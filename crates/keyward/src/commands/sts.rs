//! `keyward sts`, `env` and `credential-process`: temporary credentials.

use std::io::Write as _;
use std::path::PathBuf;

use serde_json::{Map, Value, json};
use zeroize::Zeroizing;

use super::Context;
use crate::failure::{Exit, Failure};
use crate::output::{Format, cell};
use crate::policy_argument;
use crate::profile::Credential;

/// Longest token of an identity provider that is read, in bytes.
const MAX_TOKEN_LEN: u64 = 64 * 1024;

/// Temporary credentials, as the AWS command line spells it.
#[derive(Debug, clap::Subcommand)]
#[command(after_help = "Examples:
  keyward sts get-caller-identity
  keyward sts assume-role --role-arn role/deployer --role-session-name night")]
pub(crate) enum Command {
    /// Assume a role.
    #[command(after_help = "Examples:
  keyward sts assume-role --role-arn role/deployer --role-session-name night
  keyward sts assume-role --role-arn org/acme/role/reader --role-session-name x --external-id 4711 --duration-seconds 900")]
    AssumeRole {
        /// The role: deployer, role/deployer, org/acme/role/deployer.
        #[arg(long, visible_alias = "role", value_name = "ROLE")]
        role_arn: String,
        #[command(flatten)]
        ask: Ask,
    },
    /// Assume a role with the token of an identity provider, without any other credential.
    #[command(after_help = "Example:
  keyward sts assume-role-with-web-identity --role-arn org/acme/role/deployer --role-session-name ci --web-identity-token-file token.jwt")]
    AssumeRoleWithWebIdentity {
        /// The role: org/acme/role/deployer.
        #[arg(long, visible_alias = "role", value_name = "ROLE")]
        role_arn: String,
        /// The file that the token is in, or `-`.
        #[arg(long, value_name = "FILE", env = "AWS_WEB_IDENTITY_TOKEN_FILE")]
        web_identity_token_file: PathBuf,
        /// The identity provider, where several of the organisation have the issuer.
        #[arg(long, value_name = "PROVIDER")]
        provider_id: Option<String>,
        #[command(flatten)]
        ask: Ask,
    },
    /// Temporary credentials of your own, for a machine that should not have your key.
    #[command(
        visible_alias = "session-token",
        after_help = "Example:\n  keyward sts get-session-token --duration-seconds 3600"
    )]
    GetSessionToken {
        /// How long they last: 900 to 43200.
        #[arg(long, value_name = "SECONDS")]
        duration_seconds: Option<u32>,
    },
    /// Who you are.
    #[command(
        visible_alias = "caller-identity",
        after_help = "Example:\n  keyward sts get-caller-identity"
    )]
    GetCallerIdentity,
}

/// What a session of a role may be asked to be.
#[derive(Clone, Debug, Default, clap::Args)]
pub(crate) struct Ask {
    /// What the session is called in audit and conditions.
    #[arg(
        long = "role-session-name",
        visible_alias = "session-name",
        value_name = "NAME"
    )]
    session_name: Option<String>,
    /// How long it lasts: 900 to what the role allows.
    #[arg(long, value_name = "SECONDS")]
    duration_seconds: Option<u32>,
    /// What the other organisation has agreed on with yours.
    #[arg(long, value_name = "ID")]
    external_id: Option<String>,
    /// Who stands behind the session; it stays with every session that is made of it.
    #[arg(long, value_name = "NAME")]
    source_identity: Option<String>,
    /// A policy that narrows the session: a file, JSON, or policy/ID; may be given several times.
    #[arg(long = "policy", value_name = "POLICY")]
    policies: Vec<String>,
    /// Tags of the session: KEY=VALUE, or Key=…,Value=….
    #[arg(long = "tags", visible_alias = "tag", value_name = "KEY=VALUE", num_args = 1..)]
    tags: Vec<String>,
    /// Tags that stay with every session that is made of it.
    #[arg(long, value_name = "KEY", num_args = 1..)]
    transitive_tag_keys: Vec<String>,
    /// The trust to assume it through, where several let you in.
    #[arg(long, value_name = "TRUST")]
    trust: Option<String>,
}

/// Credentials that somebody can work with.
pub(crate) struct Credentials {
    pub(crate) id: String,
    /// Signs requests; access keys alone have it, and temporary credentials beside the rest.
    secret: Option<Zeroizing<String>>,
    /// Goes with signatures of temporary credentials.
    session_token: Option<Zeroizing<String>>,
    /// What opens connections and the API: the secret of an access key, or the key of a session.
    pub(crate) password: Zeroizing<String>,
    is_session: bool,
    expires_at: Option<String>,
}

fn tag(text: &str) -> Result<(String, Value), Failure> {
    let aws = text
        .strip_prefix("Key=")
        .and_then(|rest| rest.split_once(",Value="));
    match aws.or_else(|| text.split_once('=')) {
        Some((key, value)) => Ok((key.to_owned(), value.into())),
        None => {
            let text = format!("`{text}` is no tag: KEY=VALUE");
            Err(Failure::new(Exit::Usage, text))
        }
    }
}

impl Ask {
    /// Refuses what is asked of a role's session where no role is named: a `--policy` that narrows
    /// nothing would be taken for one that does.
    fn of_no_role(&self) -> Result<(), Failure> {
        let asked = [
            ("--policy", !self.policies.is_empty()),
            ("--tags", !self.tags.is_empty()),
            (
                "--transitive-tag-keys",
                !self.transitive_tag_keys.is_empty(),
            ),
            ("--external-id", self.external_id.is_some()),
            ("--source-identity", self.source_identity.is_some()),
            ("--role-session-name", self.session_name.is_some()),
            ("--trust", self.trust.is_some()),
        ];
        match asked.iter().find(|(_, is_asked)| *is_asked) {
            Some((flag, _)) => {
                let text = format!("`{flag}` is of a role's session: name the role with --role");
                Err(Failure::new(Exit::Usage, text))
            }
            None => Ok(()),
        }
    }

    fn body(&self, role: &str) -> Result<Map<String, Value>, Failure> {
        let mut body = Map::new();
        body.insert("role".to_owned(), role.into());
        let name = self.session_name.clone().unwrap_or_else(session_name);
        body.insert("session_name".to_owned(), name.into());
        let mut set = |name: &str, value: Option<Value>| {
            if let Some(value) = value {
                body.insert(name.to_owned(), value);
            }
        };
        set("duration_seconds", self.duration_seconds.map(Value::from));
        set("external_id", self.external_id.clone().map(Value::from));
        set(
            "source_identity",
            self.source_identity.clone().map(Value::from),
        );
        let trust = self.trust.as_deref();
        set("trust", trust.map(|trust| trust_of(role, trust).into()));
        if !self.policies.is_empty() {
            set("policies", Some(policy_argument::list(&self.policies)?));
        }
        if !self.tags.is_empty() {
            let tags = self.tags.iter().map(|text| tag(text));
            let tags = tags.collect::<Result<Map<String, Value>, Failure>>()?;
            set("tags", Some(Value::Object(tags)));
        }
        if !self.transitive_tag_keys.is_empty() {
            set("transitive_tag_keys", Some(json!(self.transitive_tag_keys)));
        }
        Ok(body)
    }
}

/// The path of a trust that was named as people do, of the organisation of the role: its id,
/// `trust/<id>`, or in full.
fn trust_of(role: &str, trust: &str) -> String {
    match role.split_once("/role/") {
        Some((organisation, _)) if !trust.starts_with("org/") => {
            let id = trust.strip_prefix("trust/").unwrap_or(trust);
            format!("{organisation}/trust/{id}")
        }
        _ => trust.to_owned(),
    }
}

/// A name for a session that nobody named.
fn session_name() -> String {
    let user = std::env::var("USER").unwrap_or_default();
    let fits = |c: &char| c.is_ascii_alphanumeric() || "_+=,.@-".contains(*c);
    let user: String = user.chars().filter(fits).take(40).collect();
    match user.is_empty() {
        true => "keyward".to_owned(),
        false => format!("keyward-{user}"),
    }
}

/// Assumes a role.
fn assume(role: &str, ask: &Ask, context: &Context<'_>) -> Result<Value, Failure> {
    let role = context.client.path("role", role)?;
    let body = Value::Object(ask.body(&role)?);
    context.client.post("/v1/sts/assume_role", &body)
}

impl Credentials {
    fn of(answer: &Value) -> Result<Self, Failure> {
        let text = |field: &str| answer.get(field).and_then(Value::as_str).map(str::to_owned);
        let missing =
            |field: &str| Failure::new(Exit::Failed, format!("the server told no `{field}`"));
        let need = |field: &str| text(field).ok_or_else(|| missing(field));
        Ok(Self {
            id: need("access_key_id")?,
            secret: text("secret_access_key").map(Zeroizing::new),
            session_token: text("session_token").map(Zeroizing::new),
            password: need("session_key")?.into(),
            is_session: true,
            expires_at: text("expiration"),
        })
    }

    /// Those of a role, of the profile, or for a person who signed in temporary ones.
    pub(crate) fn find(
        role: Option<&str>,
        ask: &Ask,
        context: &Context<'_>,
    ) -> Result<Self, Failure> {
        if let Some(role) = role {
            return Self::of(&assume(role, ask, context)?);
        }
        ask.of_no_role()?;
        let credential = &context.client.profile().credential;
        if ask.duration_seconds.is_some() && !matches!(credential, Credential::Login(_)) {
            let text = "`--duration-seconds` is of a role's session: name the role with --role";
            return Err(Failure::new(Exit::Usage, text));
        }
        match credential {
            Credential::Key { id, secret } => Ok(Self {
                id: id.clone(),
                secret: Some(secret.clone()),
                session_token: None,
                password: secret.clone(),
                is_session: false,
                expires_at: None,
            }),
            Credential::Session { id, key } => Ok(Self {
                id: id.clone(),
                secret: None,
                session_token: None,
                password: key.clone(),
                is_session: true,
                expires_at: None,
            }),
            Credential::Login(_) => Self::temporary(ask, context),
            Credential::Nobody => Err(Failure::new(Exit::Unauthenticated, "no credential")),
        }
    }

    /// Temporary ones of one's own.
    fn temporary(ask: &Ask, context: &Context<'_>) -> Result<Self, Failure> {
        let body = json!({ "duration_seconds": ask.duration_seconds });
        Self::of(&context.client.post("/v1/sts/session_token", &body)?)
    }

    /// Those that can sign requests: an access key itself can only if its secret is kept for that.
    fn that_sign(role: Option<&str>, ask: &Ask, context: &Context<'_>) -> Result<Self, Failure> {
        let is_key = matches!(context.client.profile().credential, Credential::Key { .. });
        if role.is_none() && is_key {
            ask.of_no_role()?;
            return Self::temporary(ask, context);
        }
        Self::find(role, ask, context)
    }
}

/// Shows new credentials.
fn show(answer: &Value, context: &Context<'_>) -> Result<(), Failure> {
    let text = |answer: &Value| {
        let shown = [
            "access_key_id",
            "secret_access_key",
            "session_token",
            "session_key",
            "expiration",
        ];
        let lines = shown.iter().filter_map(|field| {
            let value = answer.get(*field).filter(|value| !value.is_null())?;
            Some(format!("{field:17}  {}\n", cell(value)))
        });
        let lines: String = lines.collect();
        format!("{lines}\n`AUTH <access_key_id> <session_key>` opens connections.")
    };
    Ok(context.output.document(answer, text)?)
}

pub(crate) fn assume_role(role: &str, ask: &Ask, context: &Context<'_>) -> Result<(), Failure> {
    show(&assume(role, ask, context)?, context)
}

pub(crate) fn run(command: Command, context: &Context<'_>) -> Result<(), Failure> {
    let client = &context.client;
    match command {
        Command::AssumeRole { role_arn, ask } => assume_role(&role_arn, &ask, context),
        Command::AssumeRoleWithWebIdentity {
            role_arn,
            web_identity_token_file,
            provider_id,
            ask,
        } => {
            let mut body = ask.body(&client.path("role", &role_arn)?)?;
            let token = token(&web_identity_token_file)?;
            body.insert("token".to_owned(), token.trim().into());
            if let Some(provider) = provider_id {
                let provider = client.path("identity_provider", &provider)?;
                body.insert("provider".to_owned(), provider.into());
            }
            let url = "/v1/sts/assume_role_with_web_identity";
            let text = Zeroizing::new(Value::Object(body).to_string());
            show(&client.send("POST", url, Some(&text))?, context)
        }
        Command::GetSessionToken { duration_seconds } => {
            let body = json!({ "duration_seconds": duration_seconds });
            show(&client.post("/v1/sts/session_token", &body)?, context)
        }
        Command::GetCallerIdentity => Ok(context
            .output
            .entity(&client.get("/v1/sts/caller_identity")?)?),
    }
}

/// The token in a file, or on standard input.
fn token(path: &std::path::Path) -> Result<Zeroizing<String>, Failure> {
    use std::io::Read as _;
    let failed = |error: std::io::Error| {
        Failure::new(Exit::Failed, format!("`{}`: {error}", path.display()))
    };
    let mut text = Zeroizing::new(String::new());
    let read = match path == std::path::Path::new("-") {
        true => std::io::stdin()
            .lock()
            .take(MAX_TOKEN_LEN)
            .read_to_string(&mut text),
        false => std::fs::File::open(path)
            .and_then(|file| file.take(MAX_TOKEN_LEN).read_to_string(&mut text)),
    };
    read.map_err(failed)?;
    Ok(text)
}

/// Print lines that give a shell your credentials, or those of a role.
///
/// KEYWARD_URL, KEYWARD_ACCESS_KEY_ID, KEYWARD_SECRET_ACCESS_KEY and KEYWARD_SESSION_KEY for this
/// program, AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and AWS_SESSION_TOKEN for those of AWS, and
/// with --database REDIS_URL for Redis clients.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  eval \"$(keyward env)\"
  keyward env --role deployer --database main --shell fish
  keyward env --database main > .env")]
pub(crate) struct Env {
    /// Assume this role first.
    #[arg(long)]
    role: Option<String>,
    /// Also REDIS_URL of this database.
    #[arg(long, visible_alias = "db", value_name = "DATABASE")]
    database: Option<String>,
    /// For which shell.
    #[arg(long, value_enum, default_value = "sh")]
    shell: Shell,
    #[command(flatten)]
    ask: Ask,
}

#[derive(Clone, Copy, Debug, clap::ValueEnum)]
enum Shell {
    Sh,
    Fish,
    Powershell,
}

impl Shell {
    fn set(self, name: &str, value: &str) -> String {
        match self {
            Self::Sh => format!("export {name}='{}'", value.replace('\'', "'\\''")),
            Self::Fish => {
                let value = value.replace('\\', "\\\\").replace('\'', "\\'");
                format!("set -gx {name} '{value}'")
            }
            Self::Powershell => format!("$Env:{name} = '{}'", value.replace('\'', "''")),
        }
    }

    fn unset(self, name: &str) -> String {
        match self {
            Self::Sh => format!("unset {name}"),
            Self::Fish => format!("set -e {name}"),
            Self::Powershell => format!("Remove-Item Env:{name} -ErrorAction Ignore"),
        }
    }
}

/// A text in a place of a URL.
pub(super) fn percent(text: &str) -> String {
    let is_plain = |b: &u8| b.is_ascii_alphanumeric() || b"-_.~".contains(b);
    text.bytes()
        .map(|b| match is_plain(&b) {
            true => char::from(b).to_string(),
            false => format!("%{b:02X}"),
        })
        .collect()
}

pub(crate) fn env(arguments: &Env, context: &Context<'_>) -> Result<(), Failure> {
    let credentials = Credentials::find(arguments.role.as_deref(), &arguments.ask, context)?;
    let mut set: Vec<(&str, Option<Zeroizing<String>>)> = Vec::new();
    let url = context.client.profile().url.clone();
    set.push(("KEYWARD_URL", Some(url.into())));
    let key = Some(Zeroizing::new(credentials.id.clone()));
    set.push(("KEYWARD_ACCESS_KEY_ID", key.clone()));
    let session = credentials.is_session.then(|| credentials.password.clone());
    set.push(("KEYWARD_SECRET_ACCESS_KEY", credentials.secret.clone()));
    set.push(("KEYWARD_SESSION_KEY", session));
    set.push(("AWS_ACCESS_KEY_ID", key));
    set.push(("AWS_SECRET_ACCESS_KEY", credentials.secret.clone()));
    set.push(("AWS_SESSION_TOKEN", credentials.session_token.clone()));
    if let Some(database) = &arguments.database {
        let target = super::connect::Target::find(database, context)?;
        set.push(("REDIS_URL", Some(target.url(&credentials))));
    }
    let mut out = std::io::stdout().lock();
    if context.output.format() == Format::Json {
        let all: Map<String, Value> = set
            .iter()
            .map(|(name, value)| {
                let value = value.as_ref().map(|value| value.as_str());
                ((*name).to_owned(), value.into())
            })
            .collect();
        writeln!(out, "{}", Value::Object(all))?;
        return Ok(out.flush()?);
    }
    for (name, value) in &set {
        let line = match value {
            Some(value) => arguments.shell.set(name, value),
            None => arguments.shell.unset(name),
        };
        writeln!(out, "{line}")?;
    }
    Ok(out.flush()?)
}

/// Answer as a `credential_process` of AWS configuration: JSON, version 1.
///
/// Always temporary credentials, which AWS tools ask for anew when they end.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  keyward credential-process --role deployer
  aws configure set credential_process \"keyward credential-process --role deployer\"")]
pub(crate) struct CredentialProcess {
    /// The role to assume; temporary credentials of your own if left out.
    #[arg(long)]
    role: Option<String>,
    #[command(flatten)]
    ask: Ask,
}

pub(crate) fn credential_process(
    arguments: &CredentialProcess,
    context: &Context<'_>,
) -> Result<(), Failure> {
    let credentials = Credentials::that_sign(arguments.role.as_deref(), &arguments.ask, context)?;
    let Some(secret) = &credentials.secret else {
        let text =
            "a session key signs nothing: name a --role, or use the profile of an access key";
        return Err(Failure::new(Exit::Usage, text));
    };
    let mut answer = json!({
        "Version": 1, "AccessKeyId": credentials.id, "SecretAccessKey": &**secret,
    });
    if let Some(token) = &credentials.session_token {
        answer["SessionToken"] = token.as_str().into();
    }
    if let Some(end) = &credentials.expires_at {
        answer["Expiration"] = end.as_str().into();
    }
    Ok(context.output.line(&answer.to_string())?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shells_take_values_as_they_are() {
        let cases = [
            (Shell::Sh, "export A='it'\\''s $HOME'"),
            (Shell::Fish, "set -gx A 'it\\'s $HOME'"),
            (Shell::Powershell, "$Env:A = 'it''s $HOME'"),
        ];
        for (shell, expected) in cases {
            assert_eq!(shell.set("A", "it's $HOME"), expected);
        }
        assert_eq!(percent("a.b~c_d-é/@:"), "a.b~c_d-%C3%A9%2F%40%3A");
    }

    #[test]
    fn trusts_as_people_name_them() {
        for named in ["partner", "trust/partner", "org/acme/trust/partner"] {
            let path = trust_of("org/acme/role/reports", named);
            assert_eq!(path, "org/acme/trust/partner", "{named}");
        }
    }

    #[test]
    fn tags_in_either_spelling() {
        let expected = ("team".to_owned(), Value::from("a=b"));
        assert_eq!(tag("team=a=b").unwrap(), expected);
        assert_eq!(tag("Key=team,Value=a=b").unwrap(), expected);
        assert!(tag("team").is_err());
    }
}
