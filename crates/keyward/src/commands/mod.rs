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
mod entity;
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

use entity::DryRun;

use crate::Global;
use crate::client::Client;
use crate::dev;
use crate::failure::{Exit, Failure};
use crate::output::{Format, Output, printable};
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
            Err(Failure::new(Exit::Usage, printable(&text)))
        }
    }
}

/// What every client command works with.
pub(crate) struct Context<'a> {
    client: Client,
    output: &'a Output,
}

impl Context<'_> {
    /// Shows the entity at a URL.
    fn show(&self, url: &str) -> Result<(), Failure> {
        Ok(self.output.entity(&self.client.get(url)?)?)
    }

    /// Shows the items of the list at a URL, in columns: their names, and pointers into the items.
    fn list(&self, url: &str, columns: &[(&str, &str)]) -> Result<(), Failure> {
        Ok(self.output.list(&self.client.items(url)?, columns)?)
    }
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
