//! A real OpenID provider, whose tokens look like those of GitHub Actions, GitLab and Kubernetes.

use std::io::{BufRead as _, BufReader};
use std::sync::mpsc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value as Json;

use crate::process::{PATIENCE, Process};
use crate::programs::node_server;

/// A running provider. Dropping it kills it.
#[derive(Debug)]
pub struct OidcProvider {
    process: Process,
    /// What its tokens say in `iss`.
    pub issuer: String,
}

impl OidcProvider {
    /// Starts one on a free port; `callbacks` are where people who sign in may come back to.
    #[track_caller]
    pub fn start(callbacks: &[&str]) -> Self {
        Self::start_at("127.0.0.1", callbacks)
    }

    /// As [`OidcProvider::start`], at a loopback address: browsers tell providers apart by it.
    #[track_caller]
    pub fn start_at(host: &str, callbacks: &[&str]) -> Self {
        let port = crate::free_port().to_string();
        let mut command = node_server("clients/oidc_provider.mjs", "oidc-provider");
        command.args([host, &port]).args(callbacks);
        let mut process = Process::start(command, true);
        let stdout = process.take_stdout().expect("standard output was kept");
        let (sender, receiver) = mpsc::channel();
        std::thread::spawn(move || {
            let lines = BufReader::new(stdout).lines().map_while(Result::ok);
            for line in lines.filter(|line| line.starts_with('{')) {
                sender.send(line).ok();
            }
        });
        let Ok(line) = receiver.recv_timeout(PATIENCE) else {
            panic!("the provider says nothing:\n{}", process.log());
        };
        let said: Json = serde_json::from_str(&line).expect("one line of JSON");
        Self {
            process,
            issuer: said["issuer"].as_str().expect("an issuer").to_owned(),
        }
    }

    /// A token of a workload (`github-main`, `gitlab`, `kubernetes`, …) for an audience.
    #[track_caller]
    pub fn token(&self, workload: &str, audience: &str) -> String {
        let basic = STANDARD.encode(format!("{workload}:secret-of-{workload}"));
        let agent: ureq::Agent = ureq::Agent::config_builder()
            .http_status_as_error(false)
            .timeout_global(Some(Duration::from_secs(30)))
            .build()
            .into();
        let answer = agent
            .post(format!("{}/token", self.issuer))
            .header("authorization", format!("Basic {basic}"))
            .send_form([("grant_type", "client_credentials"), ("resource", audience)]);
        let mut answer = answer.unwrap_or_else(|error| panic!("{error}: {}", self.process.log()));
        let text = answer.body_mut().read_to_string().expect("an answer");
        let json: Json = serde_json::from_str(&text).expect("JSON");
        match json["access_token"].as_str() {
            Some(token) => token.to_owned(),
            None => panic!("no token for {workload}: {text}"),
        }
    }
}
