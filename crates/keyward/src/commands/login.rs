//! `keyward login` and `keyward logout`: sessions of people.

use std::io::{self, BufRead as _, Read as _, Write as _};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::process::{Command as Program, Stdio};
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use zeroize::Zeroizing;

use crate::Global;
use crate::client::Client;
use crate::failure::{Exit, Failure};
use crate::output::{Output, note, printable};
use crate::profile::{self, Credential, Profile, StoredLogin, StoredProfile};
use crate::secret_input::secret_line;

/// Grant of RFC 8628.
const DEVICE_GRANT: &str = "urn:ietf:params:oauth:grant-type:device_code";

/// How long a browser may take.
const BROWSER_TIME: Duration = Duration::from_secs(10 * 60);

/// Sign in, in a browser. The session is kept as a profile, which other commands use.
///
/// Without --profile it is the profile `default`, which is used where none is named and the
/// environment has no access key.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  keyward login
  keyward login --url https://keyward.example.com --no-browser
  keyward login --name alice@example.com --password-stdin < password.txt
  keyward --profile work login")]
pub(crate) struct Login {
    /// Address of the API; that of the profile, of KEYWARD_URL or of `keyward dev` if left out.
    #[arg(long, value_name = "URL")]
    url: Option<String>,
    /// Show a code to type in any browser, also of another machine.
    #[arg(long)]
    no_browser: bool,
    /// What you sign in with, without any browser.
    #[arg(long, requires = "password_stdin", value_name = "NAME")]
    name: Option<String>,
    /// Read the password from standard input; a second line is the code of the second factor.
    #[arg(long, requires = "name")]
    password_stdin: bool,
}

/// Sign out: the session ends at the server, too.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  keyward logout
  keyward --profile work logout")]
pub(crate) struct Logout {}

/// A client of nobody yet.
pub(super) fn anonymous(url: Option<&str>, global: &Global) -> Result<Client, Failure> {
    let url = match url {
        Some(url) => url.to_owned(),
        None => global.profile.url(),
    };
    Client::new(Profile {
        url,
        credential: Credential::Nobody,
        organisation: global.profile.organisation.clone(),
        ca_file: profile::ca_file(),
    })
}

fn text(answer: &Value, field: &str) -> Result<String, Failure> {
    match answer.get(field).and_then(Value::as_str) {
        Some(text) => Ok(text.to_owned()),
        None => {
            let text = format!("the server told no `{field}`");
            Err(Failure::new(Exit::Failed, text))
        }
    }
}

/// How this program calls itself, for lists of sessions.
fn this_program() -> String {
    let host = std::fs::read_to_string("/etc/hostname").unwrap_or_default();
    let host: String = host
        .trim()
        .chars()
        .filter(|c| !c.is_control())
        .take(64)
        .collect();
    match host.is_empty() {
        true => "keyward".to_owned(),
        false => format!("keyward on {host}"),
    }
}

pub(crate) fn login(arguments: &Login, global: &Global, output: &Output) -> Result<(), Failure> {
    let client = anonymous(arguments.url.as_deref(), global)?;
    let session = match &arguments.name {
        Some(name) => with_password(&client, name)?,
        None if arguments.no_browser => with_device(&client)?,
        None => with_browser(&client)?,
    };
    let token = text(&session, "access_token").or_else(|_| text(&session, "token"))?;
    let stored = StoredProfile::Login(StoredLogin {
        url: client.profile().url.clone(),
        login_token: token.into(),
        user: text(&session, "user")?,
        session: session["session"].as_str().map(str::to_owned),
        expires_at: expiry(&session["expires_at"]),
        organisation: global.profile.organisation.clone(),
        ca_file: profile::ca_file(),
    });
    let name = global
        .profile
        .profile
        .as_deref()
        .unwrap_or(profile::DEFAULT);
    let place = profile::save(name, stored)?;
    let shown = json!({
        "user": session["user"], "session": session["session"], "profile": name,
        "expires_at": expiry(&session["expires_at"]), "mfa": session["mfa"],
    });
    let text = |shown: &Value| {
        format!(
            "signed in as {}; the session is kept as profile `{name}` in {}",
            printable(shown["user"].as_str().unwrap_or_default()),
            place.display()
        )
    };
    Ok(output.document(&shown, text)?)
}

/// A time of the server, as text or in milliseconds, as text.
pub(super) fn expiry(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        other => {
            let millis = i64::try_from(other.as_u64()?).ok()?;
            Some(jiff::Timestamp::from_millisecond(millis).ok()?.to_string())
        }
    }
}

fn with_password(client: &Client, name: &str) -> Result<Value, Failure> {
    let password = secret_line("password: ")?;
    let asked = Zeroizing::new(
        json!({ "sign_in_name": name, "password": &**password, "client": this_program() })
            .to_string(),
    );
    let answer = client.send("POST", "/v1/login", Some(&asked))?;
    if answer["mfa_required"] != true {
        return Ok(answer);
    }
    let code = secret_line("code of the authenticator app, or a recovery code: ")?;
    if code.is_empty() {
        let text = "a second factor is needed: its code is the second line of standard input";
        return Err(Failure::new(Exit::Unauthenticated, text));
    }
    let asked = Zeroizing::new(
        json!({ "step": answer["step"], "code": &**code, "client": this_program() }).to_string(),
    );
    client.send("POST", "/v1/login/mfa", Some(&asked))
}

fn with_device(client: &Client) -> Result<Value, Failure> {
    let asked = client.post("/v1/login/device", &json!({ "client": this_program() }))?;
    let device_code = Zeroizing::new(text(&asked, "device_code")?);
    let (page, code) = (
        text(&asked, "verification_uri")?,
        text(&asked, "user_code")?,
    );
    note(&printable(&format!(
        "open {page} in a browser and type the code {code}"
    )));
    let lasts = asked["expires_in"].as_u64().unwrap_or(600);
    let until = Instant::now() + Duration::from_secs(lasts.min(3600));
    let mut interval = asked["interval"].as_u64().unwrap_or(5).clamp(1, 60);
    let question = Zeroizing::new(
        json!({ "grant_type": DEVICE_GRANT, "device_code": &**device_code, "client": this_program() })
            .to_string(),
    );
    while Instant::now() < until {
        std::thread::sleep(Duration::from_secs(interval));
        let failure = match client.send("POST", "/v1/login/token", Some(&question)) {
            Ok(session) => return Ok(session),
            Err(failure) => failure,
        };
        match failure.code() {
            Some("authorization_pending") => {}
            Some("slow_down") => interval += 5,
            _ => return Err(failure),
        }
    }
    let text = "nobody typed the code in time";
    Err(Failure::new(Exit::Unauthenticated, text))
}

/// Lets a page of the server send a code to a port of this machine (RFC 8252), which is exchanged
/// with what only this program knows (PKCE).
fn with_browser(client: &Client) -> Result<Value, Failure> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    let port = listener.local_addr()?.port();
    let verifier = Zeroizing::new(URL_SAFE_NO_PAD.encode(keyward_auth::random_bytes::<32>()));
    let state = URL_SAFE_NO_PAD.encode(keyward_auth::random_bytes::<16>());
    let challenge = URL_SAFE_NO_PAD.encode(Sha256::digest(verifier.as_bytes()));
    let base = client.profile().url.trim_end_matches('/');
    let page = format!("{base}/ui/cli?port={port}&state={state}&challenge={challenge}");
    note(&format!(
        "opening a browser; if none opens, go to\n{page}\nor use --no-browser"
    ));
    open_browser(&page);
    let code = wait_for_code(&listener, &state)?;
    let question = Zeroizing::new(
        json!({
            "grant_type": "authorization_code", "code": &**code, "code_verifier": &**verifier,
            "client": this_program(),
        })
        .to_string(),
    );
    client.send("POST", "/v1/login/token", Some(&question))
}

/// Opens a page; whether there was a program that does.
pub(super) fn open_browser(page: &str) -> bool {
    let own = std::env::var("BROWSER").ok().filter(|own| !own.is_empty());
    let programs = own
        .as_deref()
        .into_iter()
        .chain(["xdg-open", "open", "wslview"]);
    for program in programs {
        let started = Program::new(program)
            .arg(page)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn();
        if started.is_ok() {
            return true;
        }
    }
    false
}

/// The code that the page sends to the port, with the state that this program chose.
fn wait_for_code(listener: &TcpListener, state: &str) -> Result<Zeroizing<String>, Failure> {
    let until = Instant::now() + BROWSER_TIME;
    listener.set_nonblocking(true)?;
    while Instant::now() < until {
        match listener.accept() {
            Ok((stream, _)) => match answer(stream, state) {
                Ok(Some(Ok(code))) => return Ok(code),
                Ok(Some(Err(refused))) => {
                    return Err(Failure::new(Exit::Unauthenticated, printable(&refused)));
                }
                // Another page, or another program: it learns nothing.
                Ok(None) | Err(_) => {}
            },
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                std::thread::sleep(Duration::from_millis(50));
            }
            Err(error) => return Err(error.into()),
        }
    }
    let text = "nobody signed in in time; without a browser on this machine use --no-browser";
    Err(Failure::new(Exit::Unauthenticated, text))
}

type CodeOrRefusal = Result<Zeroizing<String>, String>;

/// Reads one request; nothing if it is not the page's.
fn answer(mut stream: TcpStream, state: &str) -> io::Result<Option<CodeOrRefusal>> {
    const MAX_REQUEST: u64 = 16 * 1024;
    stream.set_nonblocking(false)?;
    stream.set_read_timeout(Some(Duration::from_secs(5)))?;
    stream.set_write_timeout(Some(Duration::from_secs(5)))?;
    let mut line = Zeroizing::new(String::new());
    let mut reader = io::BufReader::new((&stream).take(MAX_REQUEST));
    reader.read_line(&mut line)?;
    let mut header = String::new();
    while reader.read_line(&mut header)? > 2 {
        header.clear();
    }
    let found = code_in(&line, state);
    let (status, text) = match &found {
        Some(Ok(_)) => ("200 OK", "You are signed in. This page can be closed."),
        Some(Err(_)) => ("200 OK", "You are not signed in. This page can be closed."),
        None => ("404 Not Found", "There is nothing here."),
    };
    let body =
        format!("<!doctype html><meta charset=\"utf-8\"><title>Keyward</title><p>{text}</p>");
    write!(
        stream,
        "HTTP/1.1 {status}\r\ncontent-type: text/html; charset=utf-8\r\ncache-control: no-store\r\n\
         content-security-policy: default-src 'none'\r\nreferrer-policy: no-referrer\r\n\
         content-length: {}\r\nconnection: close\r\n\r\n{body}",
        body.len()
    )?;
    Ok(found)
}

/// What a request line brings: a code, or an error, with our state.
fn code_in(line: &str, state: &str) -> Option<CodeOrRefusal> {
    let target = line.strip_prefix("GET ")?.split(' ').next()?;
    let (_, query) = target.split_once('?')?;
    let of = |wanted: &str| {
        query.split('&').find_map(|pair| {
            let (name, value) = pair.split_once('=')?;
            (name == wanted).then_some(value)
        })
    };
    if of("state") != Some(state) {
        return None;
    }
    match (of("code"), of("error")) {
        (Some(code), _) if !code.is_empty() => Some(Ok(code.to_owned().into())),
        (_, Some("access_denied")) => Some(Err("you did not let this program in".to_owned())),
        (_, Some(error)) => Some(Err(format!("the page answered `{error}`"))),
        _ => None,
    }
}

pub(crate) fn logout(global: &Global, output: &Output) -> Result<(), Failure> {
    let name = global
        .profile
        .profile
        .as_deref()
        .unwrap_or(profile::DEFAULT);
    let Some(profile) = profile::login(name)? else {
        let text = format!("profile `{name}` is no session: nobody is signed in by it");
        return Err(Failure::new(Exit::NotFound, text));
    };
    let client = Client::new(profile)?;
    let ended = match client.send("POST", "/v1/logout", Some("{}")) {
        Ok(_) => true,
        // It had ended already.
        Err(failure) if failure.exit() == Exit::Unauthenticated => true,
        Err(failure) => {
            // The session stays known here, so that this can be tried again.
            return Err(failure);
        }
    };
    profile::forget(name)?;
    let shown = json!({ "profile": name, "ended": ended });
    Ok(output.document(&shown, |_| format!("signed out of profile `{name}`"))?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_page_that_knows_the_state_is_heard() {
        let cases: [(&str, Option<Result<&str, &str>>); 8] = [
            ("GET /?code=abc&state=s HTTP/1.1", Some(Ok("abc"))),
            ("GET /callback?state=s&code=abc HTTP/1.1", Some(Ok("abc"))),
            ("GET /?code=abc&state=t HTTP/1.1", None),
            ("GET /?code=abc HTTP/1.1", None),
            ("GET /?state=s&code= HTTP/1.1", None),
            ("POST /?code=abc&state=s HTTP/1.1", None),
            ("GET / HTTP/1.1", None),
            (
                "GET /?error=access_denied&state=s HTTP/1.1",
                Some(Err("you did not let this program in")),
            ),
        ];
        for (line, expected) in cases {
            let found = code_in(line, "s");
            let found = found.as_ref().map(|found| match found {
                Ok(code) => Ok(code.as_str()),
                Err(refused) => Err(refused.as_str()),
            });
            assert_eq!(found, expected, "{line}");
        }
    }
}
