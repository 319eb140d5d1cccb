//! `keyward admin user`: the people of the deployment, by the operator on the machine itself.

use serde_json::{Value, json};
use zeroize::Zeroizing;

use crate::Global;
use crate::client;
use crate::dev::operator::{OPERATOR_FILE, OperatorFile};
use crate::failure::{Exit, Failure};
use crate::output::Output;
use crate::profile::read_private;
use crate::secret_input::new_password;

#[derive(Debug, clap::Subcommand)]
#[command(after_help = "Examples:
  keyward admin user create alice@example.com --name Alice
  keyward admin user list
  keyward admin user link alice@example.com
  keyward admin user reset-factors alice@example.com")]
pub(crate) enum Command {
    /// Create a person. Without --password-stdin, prints a link with which the person sets a password.
    #[command(after_help = "Examples:
  keyward admin user create alice@example.com --name Alice
  keyward admin user create alice@example.com --password-stdin < password.txt")]
    Create {
        /// What the person signs in with.
        sign_in_name: String,
        /// What people call the person.
        #[arg(long)]
        name: Option<String>,
        /// Read the password from standard input.
        #[arg(long)]
        password_stdin: bool,
    },
    /// List the people of the deployment.
    #[command(
        visible_alias = "ls",
        after_help = "Example:\n  keyward admin user list"
    )]
    List,
    /// Print a link with which a person sets a password, once; for an owner without a password, too.
    #[command(after_help = "Example:\n  keyward admin user link alice@example.com")]
    Link {
        /// Sign-in name, id or path of the user.
        user: String,
    },
    /// Set a person's password from standard input; all sessions end.
    #[command(
        after_help = "Example:\n  keyward admin user set-password alice@example.com < password.txt"
    )]
    SetPassword {
        /// Sign-in name, id or path of the user.
        user: String,
    },
    /// Set what a person signs in with.
    #[command(
        after_help = "Example:\n  keyward admin user set-sign-in-name alice@example.com alice@example.org"
    )]
    SetSignInName {
        /// Sign-in name, id or path of the user.
        user: String,
        /// The new sign-in name.
        sign_in_name: String,
    },
    /// Take all second factors of a person away; all sessions end.
    #[command(after_help = "Example:\n  keyward admin user reset-factors alice@example.com")]
    ResetFactors {
        /// Sign-in name, id or path of the user.
        user: String,
    },
    /// List where a person is signed in.
    #[command(after_help = "Example:\n  keyward admin user sessions alice@example.com")]
    Sessions {
        /// Sign-in name, id or path of the user.
        user: String,
    },
    /// End all sessions of a person, as when a device was lost.
    #[command(after_help = "Example:\n  keyward admin user end-sessions alice@example.com")]
    EndSessions {
        /// Sign-in name, id or path of the user.
        user: String,
    },
    /// Delete a person, with all memberships.
    #[command(
        visible_alias = "rm",
        after_help = "Example:\n  keyward admin user delete alice@example.com"
    )]
    Delete {
        /// Sign-in name, id or path of the user.
        user: String,
    },
}

/// The API, asked as the operator.
pub(super) struct Operator {
    agent: ureq::Agent,
    file: OperatorFile,
}

impl Operator {
    pub(super) fn of(global: &Global) -> Result<Self, Failure> {
        let path = global.profile.data_dir.join(OPERATOR_FILE);
        let missing = || {
            let text = format!(
                "no `{}`: start `keyward dev` on this data directory, on this machine",
                path.display()
            );
            Failure::new(Exit::Unauthenticated, text)
        };
        let text = read_private(&path)?.ok_or_else(missing)?;
        let file: OperatorFile = serde_json::from_slice(&text).map_err(|_| missing())?;
        let agent = ureq::Agent::config_builder()
            .http_status_as_error(false)
            .max_redirects(0)
            .proxy(None)
            .tls_config(client::tls(file.ca_file.as_deref())?)
            .build();
        Ok(Self {
            agent: agent.into(),
            file,
        })
    }

    /// A call about people.
    fn send(&self, method: &str, path: &str, body: &Value) -> Result<Value, Failure> {
        self.call(method, &format!("user{path}"), body)
    }

    /// Any call of the operator's.
    pub(super) fn call(&self, method: &str, path: &str, body: &Value) -> Result<Value, Failure> {
        let unreachable = |error: &dyn std::fmt::Display| {
            let text = format!(
                "cannot reach {}: {error} (is `keyward dev` running?)",
                self.file.url
            );
            Failure::new(Exit::Unreachable, text)
        };
        let bearer = Zeroizing::new(format!("Bearer {}", *self.file.token));
        let text = Zeroizing::new(body.to_string());
        let request = ureq::http::Request::builder()
            .method(method)
            .uri(format!("{}/v1/operator/{path}", self.file.url))
            .header("content-type", "application/json")
            .header("authorization", &*bearer);
        let answer = if body.is_null() {
            request.body(()).map(|request| self.agent.run(request))
        } else {
            request.body(&**text).map(|request| self.agent.run(request))
        };
        let mut answer = answer
            .map_err(|error| Failure::new(Exit::Usage, error.to_string()))?
            .map_err(|error| unreachable(&error))?;
        let status = answer.status().as_u16();
        let text = answer.body_mut().read_to_string();
        let text = text.map_err(|error| unreachable(&error))?;
        let json = serde_json::from_str(&text).unwrap_or(Value::Null);
        if (200..300).contains(&status) {
            Ok(json)
        } else {
            Err(Failure::of_problem(status, json))
        }
    }

    fn people(&self) -> Result<Vec<Value>, Failure> {
        let mut answer = self.send("GET", "", &Value::Null)?;
        match answer.get_mut("items").map(Value::take) {
            Some(Value::Array(items)) => Ok(items),
            _ => Ok(Vec::new()),
        }
    }

    /// `/<id>` of the user that was named in one way or another.
    fn find(&self, named: &str) -> Result<String, Failure> {
        let path = format!("user/{}", named.strip_prefix("user/").unwrap_or(named));
        let people = self.people()?;
        let field = |person: &Value, field: &str| {
            let value = person.get(field).and_then(Value::as_str);
            value.unwrap_or_default().to_owned()
        };
        let found = people.iter().find(|person| {
            field(person, "path") == path
                || field(person, "sign_in_name").eq_ignore_ascii_case(named)
        });
        match found {
            Some(person) => Ok(field(person, "path").replacen("user", "", 1)),
            None => Err(
                Failure::new(Exit::NotFound, format!("there is no user `{named}`"))
                    .with_hint("`keyward admin user list` shows who there is"),
            ),
        }
    }
}

pub(crate) fn run(command: &Command, global: &Global, output: &Output) -> Result<(), Failure> {
    let operator = Operator::of(global)?;
    let shown = match command {
        Command::List => {
            let columns = [
                ("user", "/path"),
                ("sign-in name", "/sign_in_name"),
                ("name", "/name"),
                ("second factor", "/second_factor"),
                ("sessions", "/sessions"),
                ("created", "/created/at"),
                ("by", "/created/by"),
            ];
            output.list(&operator.people()?, &columns)?;
            return Ok(());
        }
        Command::Create {
            sign_in_name,
            name,
            password_stdin,
        } => {
            let password = if *password_stdin {
                Some(new_password()?)
            } else {
                None
            };
            let password = password.as_ref().map(|password| password.as_str());
            let body = json!({ "sign_in_name": sign_in_name, "name": name, "password": password });
            operator.send("POST", "", &body)?
        }
        Command::Link { user } => {
            let path = format!("{}/setup_link", operator.find(user)?);
            operator.send("POST", &path, &Value::Null)?
        }
        Command::SetPassword { user } => {
            let path = format!("{}/password", operator.find(user)?);
            operator.send(
                "PUT",
                &path,
                &json!({ "password": new_password()?.as_str() }),
            )?
        }
        Command::SetSignInName { user, sign_in_name } => {
            let path = format!("{}/sign_in_name", operator.find(user)?);
            operator.send("PUT", &path, &json!({ "sign_in_name": sign_in_name }))?
        }
        Command::ResetFactors { user } => {
            let path = format!("{}/reset_factors", operator.find(user)?);
            operator.send("POST", &path, &Value::Null)?
        }
        Command::Sessions { user } => {
            let path = format!("{}/session", operator.find(user)?);
            let answer = operator.send("GET", &path, &Value::Null)?;
            let items = answer["items"].as_array().cloned().unwrap_or_default();
            return Ok(output.list(&items, &super::sessions::LOGIN_SESSION)?);
        }
        Command::EndSessions { user } => {
            let path = format!("{}/session", operator.find(user)?);
            operator.send("DELETE", &path, &Value::Null)?
        }
        Command::Delete { user } => operator.send("DELETE", &operator.find(user)?, &Value::Null)?,
    };
    match shown.get("setup_link").and_then(Value::as_str) {
        // Whoever asked wants the link, and nothing around it that would have to be cut off.
        Some(link) => output.document(&shown, |_| link.to_owned())?,
        None => output.entity(&shown)?,
    }
    Ok(())
}
