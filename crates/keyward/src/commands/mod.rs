//! The subcommands.

mod account;
mod acl;
mod admin;
mod admin_user;
mod bench;
mod catalogue;
mod connect;
mod databases;
mod decisions;
mod groups;
mod identities;
mod keys;
mod limits;
mod login;
mod manual;
mod org_users;
mod organisations;
mod policies;
mod policy_check;
mod policy_diff;
mod policy_translate;
mod providers;
mod questions;
mod resource_policies;
mod roles;
mod sarif;
mod sessions;
mod simulate;
mod snapshots;
mod status;
mod sts;
mod tags;
mod tail;
mod trusts;
mod users;

use std::process::ExitCode;

use serde_json::{Value, json};

use crate::Global;
use crate::client::Client;
use crate::dev;
use crate::failure::{Exit, Failure};
use crate::output::{self, Format, Output};
use crate::state;

/// What to do.
#[derive(Debug, clap::Subcommand)]
pub(crate) enum Command {
    Dev(dev::Arguments),
    /// What the operator does on the machine itself.
    #[command(subcommand)]
    Admin(admin::Command),
    /// Organisations.
    #[command(subcommand, visible_alias = "organisation")]
    Org(organisations::Command),
    /// Users: people of the deployment.
    #[command(subcommand)]
    User(users::Command),
    /// Programmatic identities: programs that connect.
    #[command(subcommand)]
    Identity(identities::Command),
    /// Organisation users: people in an organisation.
    #[command(subcommand, visible_alias = "member")]
    OrgUser(org_users::Command),
    /// Roles: identities that are assumed for a limited time.
    #[command(subcommand)]
    Role(roles::Command),
    /// Identity providers: issuers of tokens and certificates that an organisation trusts.
    #[command(subcommand, visible_alias = "identity-provider")]
    Provider(providers::Command),
    /// Sessions of roles, of identities and of people.
    #[command(subcommand)]
    Session(sessions::Command),
    /// Temporary credentials, as the AWS command line spells it.
    #[command(subcommand)]
    Sts(sts::Command),
    /// Groups: identities that trust their members.
    #[command(subcommand)]
    Group(groups::Command),
    /// Access keys of identities.
    #[command(subcommand)]
    Key(keys::Command),
    /// Databases.
    #[command(subcommand, visible_alias = "database")]
    Db(databases::Command),
    /// Snapshots: copies of all keys of a database, and putting them back.
    #[command(subcommand)]
    Snapshot(snapshots::Command),
    /// Trusts: who may act as whom, within which policies.
    #[command(subcommand)]
    Trust(trusts::Command),
    /// Named policies, and checking documents.
    #[command(subcommand)]
    Policy(policies::Command),
    /// ACL files of Redis and Valkey: taking users over, and printing rules for a server.
    #[command(subcommand)]
    Acl(acl::Command),
    /// Policies that limit what is done by or as an identity.
    #[command(subcommand)]
    Boundary(limits::Boundary),
    /// Policies that bind a whole organisation, its owner included.
    #[command(subcommand, visible_alias = "guardrails")]
    Guardrail(limits::Guardrail),
    /// Which identities a resource accepts besides its owner.
    #[command(subcommand)]
    ResourcePolicy(resource_policies::Command),
    /// Tags of identities, groups, databases and organisations, for conditions of policies.
    #[command(subcommand)]
    Tag(tags::Command),
    /// How you sign in: password, second factors, passkeys.
    #[command(subcommand)]
    Account(account::Command),
    Login(login::Login),
    Logout(login::Logout),
    Env(sts::Env),
    #[command(alias = "credential_process")]
    CredentialProcess(sts::CredentialProcess),
    Whoami(status::Whoami),
    Status(status::Status),
    Can(decisions::Can),
    WhoCan(questions::WhoCan),
    Access(questions::Access),
    Escalation(questions::Escalation),
    Why(decisions::Why),
    Completions(manual::Completions),
    Man(manual::Man),
    Apply(state::Apply),
    Export(state::Export),
    Import(state::Import),
    Connect(connect::Arguments),
    Tail(tail::Arguments),
    Simulate(simulate::Arguments),
    Test(crate::policy_tests::Arguments),
    /// The catalogue of Redis commands.
    #[command(subcommand)]
    Commands(catalogue::Command),
    /// Measurements on this machine.
    #[command(subcommand)]
    Bench(bench::Command),
}

/// What a command that changes something takes.
#[derive(Clone, Copy, Debug, clap::Args)]
pub(crate) struct DryRun {
    /// Decide and check, but change nothing.
    #[arg(long)]
    dry_run: bool,
}

impl DryRun {
    /// A URL that asks for no more than that.
    fn url(self, url: &str) -> String {
        match (self.dry_run, url.contains('?')) {
            (false, _) => url.to_owned(),
            (true, false) => format!("{url}?dry_run=true"),
            (true, true) => format!("{url}&dry_run=true"),
        }
    }

    /// Creates a named entity in a collection.
    fn create(
        self,
        collection: &str,
        id: &str,
        name: Option<&str>,
        context: &Context<'_>,
    ) -> Result<(), Failure> {
        let body = json!({ "id": id, "name": name });
        let made = context.client.post(&self.url(collection), &body);
        let made = made.map_err(|failure| taken(failure, collection, id, context))?;
        self.done(context.output, &made, "created")
    }

    /// Renames an entity.
    fn rename(self, url: &str, name: Option<&str>, context: &Context<'_>) -> Result<(), Failure> {
        let body = json!({ "name": name });
        let changed = context.client.patch(&self.url(url), &body)?;
        self.done(context.output, &changed, "renamed")
    }

    /// Says what was done to an entity, or would be.
    fn done(self, output: &Output, answer: &Value, what: &str) -> Result<(), Failure> {
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

/// Whether there is nothing at a URL, or nothing that the caller may see.
fn is_missing(url: &str, context: &Context<'_>) -> bool {
    let found = context.client.get(url);
    found.is_err_and(|failure| failure.exit() == Exit::NotFound)
}

/// Why an id cannot be had: what has it, if the caller may see that.
fn taken(failure: Failure, collection: &str, id: &str, context: &Context<'_>) -> Failure {
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

/// What to do when other things depend on what was to be deleted, and may go with it.
fn in_use(failure: Failure) -> Failure {
    match failure.code() {
        Some("delete_conflict") => {
            failure.with_hint("delete these first, or all together with --cascade")
        }
        _ => failure,
    }
}

/// What to do when other things depend on what was to be deleted, and are deleted by name alone.
fn in_use_by_name(failure: Failure) -> Failure {
    match failure.code() {
        Some("delete_conflict") => failure.with_hint("delete or change these first"),
        _ => failure,
    }
}

/// A time on the command line: RFC 3339, or a day, which begins in UTC.
fn time(flag: &str, text: &str) -> Result<String, Failure> {
    if text.parse::<jiff::Timestamp>().is_ok() {
        return Ok(text.to_owned());
    }
    match text.parse::<jiff::civil::Date>() {
        Ok(day) if text.len() == 10 => Ok(format!("{day}T00:00:00Z")),
        _ => {
            let text =
                format!("{flag}: `{text}` is no time: write 2030-01-01T00:00:00Z, or 2030-01-01");
            Err(Failure::new(Exit::Usage, output::printable(&text)))
        }
    }
}

/// What to do when something is to be created that exists already.
fn exists(failure: Failure, kind: &str, id: &str, context: &Context<'_>) -> Failure {
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

/// What every client command works with.
pub(crate) struct Context<'a> {
    client: Client,
    output: &'a Output,
}

pub(crate) fn run(command: Command, global: &Global, output: &Output) -> Result<ExitCode, Failure> {
    let context = || -> Result<Context<'_>, Failure> {
        Ok(Context {
            client: Client::new(global.profile.resolve()?)?,
            output,
        })
    };
    let is_check = matches!(&command, Command::Policy(policies::Command::Check(_)));
    if output.format() == Format::Sarif && !is_check {
        let text = "only `policy check` answers in SARIF";
        return Err(Failure::new(Exit::Usage, text));
    }
    match command {
        Command::Dev(arguments) => dev::run(&arguments, global, output)?,
        Command::Admin(command) => admin::run(&command, global, output)?,
        Command::Org(command) => organisations::run(command, &context()?)?,
        Command::User(command) => users::run(command, &context()?)?,
        Command::Identity(command) => identities::run(command, &context()?)?,
        Command::Group(command) => groups::run(command, &context()?)?,
        Command::Role(command) => roles::run(command, &context()?)?,
        Command::Provider(command) => providers::run(command, &context()?)?,
        Command::Session(command) => sessions::run(command, &context()?)?,
        Command::Sts(command @ sts::Command::AssumeRoleWithWebIdentity { .. }) => {
            let client = login::anonymous(None, global)?;
            sts::run(command, &Context { client, output })?;
        }
        Command::Sts(command) => sts::run(command, &context()?)?,
        Command::Account(command) => account::run(command, &context()?)?,
        Command::OrgUser(
            command @ (org_users::Command::ShowInvitation { .. }
            | org_users::Command::Decline { .. }),
        ) => {
            let client = login::anonymous(None, global)?;
            org_users::run(command, &Context { client, output })?;
        }
        Command::OrgUser(command) => org_users::run(command, &context()?)?,
        Command::Login(arguments) => login::login(&arguments, global, output)?,
        Command::Logout(_) => login::logout(global, output)?,
        Command::Env(arguments) => sts::env(&arguments, &context()?)?,
        Command::CredentialProcess(arguments) => sts::credential_process(&arguments, &context()?)?,
        Command::Key(command) => keys::run(command, &context()?)?,
        Command::Db(command) => databases::run(command, &context()?)?,
        Command::Snapshot(command) => snapshots::run(command, &context()?)?,
        Command::Trust(command) => trusts::run(command, &context()?)?,
        Command::Policy(policies::Command::Check(arguments)) => match arguments.stored() {
            Some(policy) => policy_check::run_stored(&arguments, policy, global, &context()?)?,
            None => policy_check::run(&arguments, global, output)?,
        },
        Command::Acl(acl::Command::Import(arguments)) => acl::import(&arguments, &context()?)?,
        Command::Acl(acl::Command::Export(arguments)) => match arguments.of_identity() {
            Some(asked) => acl::export_identity(&arguments, asked, &context()?)?,
            None => acl::export(&arguments, output)?,
        },
        Command::Policy(policies::Command::Diff(arguments)) => {
            return policy_diff::run(&arguments, global, output);
        }
        Command::Policy(policies::Command::Translate(arguments)) => {
            policy_translate::run(&arguments, global, output)?;
        }
        Command::Policy(command) => policies::run(command, &context()?)?,
        Command::Boundary(command) => limits::boundary(command, &context()?)?,
        Command::Guardrail(command) => limits::guardrail(command, &context()?)?,
        Command::ResourcePolicy(command) => resource_policies::run(command, &context()?)?,
        Command::Tag(command) => tags::run(command, &context()?)?,
        Command::Whoami(_) => status::whoami(&context()?)?,
        Command::Status(_) => status::status(&context()?)?,
        Command::Can(arguments) => return decisions::can(&arguments, &context()?),
        Command::WhoCan(arguments) => questions::who_can(&arguments, &context()?)?,
        Command::Escalation(arguments) => questions::escalation(&arguments, &context()?)?,
        Command::Access(arguments) => questions::access(&arguments, &context()?)?,
        Command::Why(arguments) => decisions::why(&arguments, &context()?)?,
        Command::Completions(arguments) => manual::completions(&arguments)?,
        Command::Man(arguments) => manual::man(&arguments, output)?,
        Command::Apply(arguments) => {
            let context = context()?;
            let said = global.profile.organisation.as_deref();
            return state::apply(&arguments, &context.client, said, output);
        }
        Command::Export(arguments) => state::export(&arguments, &context()?.client, output)?,
        Command::Import(arguments) => {
            let context = context()?;
            let said = global.profile.organisation.as_deref();
            return state::import(&arguments, &context.client, said, output);
        }
        Command::Connect(arguments) => connect::run(&arguments, &context()?)?,
        Command::Tail(arguments) => tail::run(&arguments, &context()?)?,
        Command::Test(arguments) => return crate::policy_tests::run(&arguments, output),
        Command::Simulate(arguments) => return simulate::run(&arguments, output),
        Command::Commands(command) => catalogue::run(&command, output)?,
        Command::Bench(command) => bench::run(&command, output)?,
    }
    Ok(ExitCode::SUCCESS)
}
