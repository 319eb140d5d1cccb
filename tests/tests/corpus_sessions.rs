//! `corpus/sessions/` by the API and through a real gateway: worlds are made by calls, commands are
//! sent by whoever may connect, with keys and with sessions of roles. What is asked of people, and of
//! actions, `POST /v1/decide` answers; who may make a change tells a dry run of it.

use std::collections::{BTreeMap, HashMap};

use keyward_e2e::{AccessKey, Api, Client, Keyward, RedisUrl, Response, Value, text};
use keyward_test_cases::{Step, corpus, steps};
use serde_json::{Value as Json, json};

/// The document below a line: JSON, or a text.
fn document(step: &Step<'_>) -> Option<Json> {
    let text = step.document()?;
    Some(serde_json::from_str(&text).unwrap_or_else(|_| json!(text)))
}

/// What a session of a role is presented with.
struct Session {
    key: AccessKey,
    token: String,
}

/// A call that changes something.
struct Call {
    method: &'static str,
    path: String,
    body: Json,
}

struct World {
    keyward: Keyward,
    admin: Api,
    /// Path of the person who owns everything here.
    owner: String,
    /// Paths of people, and their tokens, by what the cases call them.
    people: BTreeMap<String, (String, String)>,
    identities: HashMap<String, AccessKey>,
    keys: HashMap<String, (String, AccessKey)>,
    trusts: HashMap<(String, String), String>,
    sessions: HashMap<String, Session>,
    asked: usize,
}

fn organisation(path: &str) -> &str {
    path.split('/').nth(1).expect("in one")
}

/// `org/acme/kvdb/main` as (`/v1/org/acme/kvdb`, `main`).
fn collection(path: &str) -> (String, &str) {
    let (collection, id) = path.rsplit_once('/').expect("a path");
    (format!("/v1/{collection}"), id)
}

impl World {
    fn new() -> Self {
        let keyward = Keyward::dev(&[]);
        let admin = keyward.admin();
        let made = admin.get("/v1/org/dev").success();
        Self {
            owner: text(&made, "owner"),
            keyward,
            admin,
            people: BTreeMap::new(),
            identities: HashMap::new(),
            keys: HashMap::new(),
            trusts: HashMap::new(),
            sessions: HashMap::new(),
            asked: 0,
        }
    }

    /// Text of a case with the paths that people have here. (A membership, `org_user/bob`, has the
    /// case's own id.)
    fn real(&self, text: &str) -> String {
        let parts = text.split("org_user/").map(|part| {
            let owned = part.replace("user/owner", &self.owner);
            self.people.iter().fold(owned, |text, (name, (path, _))| {
                text.replace(&format!("user/{name}"), path)
            })
        });
        parts.collect::<Vec<_>>().join("org_user/")
    }

    fn real_document(&self, document: Option<Json>) -> Json {
        let document = document.unwrap_or(Json::Null);
        serde_json::from_str(&self.real(&document.to_string())).expect("JSON")
    }

    /// The call that a line of the corpus is.
    fn call(&self, line: &str, document: Option<Json>) -> Call {
        let (verb, rest) = line.split_once(' ').expect("a verb");
        let document = self.real_document(document);
        let rest = self.real(rest);
        let after = |word: &str| rest.strip_prefix(word).expect("its form").trim().to_owned();
        let policies = match &document {
            Json::Null => json!([]),
            document => json!([document]),
        };
        let call = |method, path: String, body| Call { method, path, body };
        match verb {
            "organisation" => call("POST", "/v1/org".into(), json!({ "id": rest })),
            "identity" | "database" => {
                let (collection, id) = collection(&rest);
                call("POST", collection, json!({ "id": id }))
            }
            "trust" => {
                let (ends, conditions) = match rest.split_once(" if ") {
                    Some((ends, text)) => (ends, serde_json::from_str(text).expect("JSON")),
                    None => (&*rest, Json::Null),
                };
                let (trustor, trustee) = ends.split_once(" -> ").expect("two ends");
                let known = self.trusts.get(&(trustor.to_owned(), trustee.to_owned()));
                if let Some(path) = known {
                    let body = json!({ "policies": policies, "conditions": conditions });
                    return call("PUT", format!("/v1/{path}"), body);
                }
                // Also of a person, who is in no organisation: that it is refused is what counts.
                let of = organisation(trustor);
                let body = json!({ "id": format!("t{}", self.trusts.len()), "trustor": trustor,
                    "trustee": trustee, "policies": policies, "conditions": conditions });
                call("POST", format!("/v1/org/{of}/trust"), body)
            }
            "policy" => call(
                "PUT",
                format!("/v1/{}/resource_policy", after("on")),
                document,
            ),
            "boundary" => {
                let body = json!({ "policies": policies });
                call("PUT", format!("/v1/{}/boundary", after("of")), body)
            }
            "guardrails" => {
                let body = json!({ "policies": policies });
                call("PUT", format!("/v1/{}/guardrails", after("of")), body)
            }
            "provider" => {
                let (collection, id) = collection(&rest);
                let mut body = document;
                body["id"] = id.into();
                call("POST", collection, body)
            }
            "delete" if rest.contains("/trust/") => {
                call("DELETE", format!("/v1/{rest}"), Json::Null)
            }
            "delete" => call("DELETE", format!("/v1/{rest}?cascade=true"), Json::Null),
            "tag" => {
                let (path, words) = rest.split_once(' ').expect("tags");
                let tags: serde_json::Map<String, Json> = words
                    .split(' ')
                    .map(|word| match word.split_once('=') {
                        Some((key, value)) => (key.to_owned(), value.into()),
                        None => (word.trim_start_matches('-').to_owned(), Json::Null),
                    })
                    .collect();
                call("PATCH", format!("/v1/{path}/tags"), json!({ "tags": tags }))
            }
            "name" => {
                let (path, name) = rest.split_once(' ').expect("a name");
                call("PATCH", format!("/v1/{path}"), json!({ "name": name }))
            }
            "default" => {
                let (identity, database) = rest.split_once(' ').expect("a database");
                let body = json!({ "database": database });
                call("PUT", format!("/v1/{identity}/default_database"), body)
            }
            "invite" => call("POST", format!("/v1/{rest}/invite"), json!({})),
            "key_lifetime" => {
                let (path, seconds) = rest.split_once(' ').expect("seconds");
                let body = json!({ "max_key_lifetime_seconds": seconds.parse::<u64>().ok() });
                call("PUT", format!("/v1/{path}/key_limits"), body)
            }
            "enable" | "disable" => {
                let (identity, key) = &self.keys[&rest];
                let status = if verb == "enable" {
                    "active"
                } else {
                    "disabled"
                };
                let path = format!("/v1/{identity}/access_key/{}", key.id);
                call("PATCH", path, json!({ "status": status }))
            }
            _ => panic!("`{line}` is no change"),
        }
    }

    fn key(&mut self, identity: &str) -> AccessKey {
        // Of several keys that a case names, the last: an identity has two at most.
        let named = self.keys.values().find(|(of, _)| of == identity);
        if let Some((_, key)) = named {
            return key.clone();
        }
        let admin = &self.admin;
        let path = format!("/v1/{identity}/access_key");
        let make = || AccessKey::created(admin.post(&path, &json!({})));
        let known = self.identities.entry(identity.to_owned());
        known.or_insert_with(make).clone()
    }

    /// The API as somebody of the cases sees it: a session, an identity or a person.
    fn api_of(&mut self, who: &str) -> Api {
        let base = self.keyward.api_url.clone();
        if let Some(session) = self.sessions.get(who) {
            return Api::bearer(&base, &session.key.secret);
        }
        match who
            .strip_prefix("user/")
            .and_then(|name| self.people.get(name))
        {
            Some((_, token)) => Api::bearer(&base, token),
            None => {
                let key = self.key(who);
                Api::new(&base, &key.id, &key.secret)
            }
        }
    }

    /// A person whom an organisation invites, and who makes an account for it.
    fn join(&mut self, path: &str, name: &str) {
        let (collection, id) = collection(path);
        let invited = self.admin.post(&collection, &json!({ "id": id })).success();
        let body = json!({ "token": text(&invited, "invitation_token"), "sign_in_name": name,
                           "password": "purple monkeys dance at dawn" });
        let api = Api::anonymous(&self.keyward.api_url);
        let login = api.post("/v1/invitation/register", &body).success();
        let token = text(&login, "token");
        let me = Api::bearer(&self.keyward.api_url, &token)
            .get("/v1/whoami")
            .success();
        self.people
            .insert(name.to_owned(), (text(&me, "principal"), token));
    }

    fn assume(&mut self, text: &str, document: Option<Json>) -> Option<Response> {
        let (caller, rest) = text.split_once(" assumes ").expect("its form");
        let mut words = rest.split_whitespace();
        let mut body = json!({ "role": words.next().expect("a role"), "session_name": "session",
                               "duration_seconds": 900 });
        if let Some(document) = document {
            body["policies"] = json!([document]);
        }
        let mut key = None;
        let mut tags = serde_json::Map::new();
        for word in words {
            let (option, value) = word.split_once('=').unwrap_or((word, ""));
            match option {
                "mfa" => return None, // nobody here has a second factor
                "key" => key = Some(value.to_owned()),
                "external_id" => body["external_id"] = value.into(),
                "name" => body["session_name"] = value.into(),
                "source" => body["source_identity"] = value.into(),
                tag => {
                    let tag = tag.strip_prefix("tag.").expect("a known option");
                    tags.insert(tag.to_owned(), value.into());
                }
            }
        }
        body["tags"] = Json::Object(tags);
        let api = match key {
            Some(name) => {
                let (_, key) = &self.keys[&name];
                Api::new(&self.keyward.api_url, &key.id, &key.secret)
            }
            None => self.api_of(caller),
        };
        Some(api.post("/v1/sts/assume_role", &body))
    }

    /// The answer to a command by the holder of a key, or to its login.
    fn command(&self, key: &AccessKey, database: &str, words: &[&str]) -> Value {
        let (_, id) = collection(database);
        let suffix = format!(".{id}.{}", organisation(database));
        match Client::try_connect(&self.keyward.url_for(key, &suffix)) {
            Ok(mut client) => client.call(words),
            Err(refused) => refused,
        }
    }

    fn run(&mut self, step: &Step<'_>, place: &str) {
        let line = step.line;
        let ok = |status: u16| (200..300).contains(&status);
        if let Some(rest) = line.strip_prefix("refused ") {
            let found = self.make(rest, document(step));
            assert!(
                (400..500).contains(&found.status),
                "{place}: {}",
                found.text
            );
        } else if let Some(rest) = line.strip_prefix("no session ") {
            if let Some(found) = self.assume(rest, document(step)) {
                assert!(
                    (400..500).contains(&found.status),
                    "{place}: {}",
                    found.text
                );
            }
        } else if let Some(rest) = line.strip_prefix("session ") {
            let (name, rest) = rest.split_once(" = ").expect("a name");
            if let Some(found) = self.assume(rest, document(step)) {
                assert!(ok(found.status), "{place}: {}", found.text);
                let session = Session {
                    key: AccessKey {
                        id: text(&found.json, "access_key_id"),
                        secret: text(&found.json, "session_key"),
                    },
                    token: text(&found.json, "session_token"),
                };
                self.sessions.insert(name.to_owned(), session);
            }
        } else if let Some(name) = line.strip_prefix("ended ") {
            let found = self.api_of(name).get("/v1/whoami");
            assert_eq!(found.status, 401, "{place}: {}", found.text);
        } else if let Some(name) = line.strip_prefix("opens nothing: token of ") {
            self.token_opens_nothing(name, place);
        } else if let Some(rest) = line.strip_prefix("goes ") {
            self.go(rest, place);
        } else if let Some(identity) = line.strip_prefix("failures of ") {
            self.fail(identity);
        } else if let Some(rest) = line.strip_prefix("as ") {
            let (who, database) = rest.split_once(" on ").expect("a database");
            let (who, mfa) = match who.split_once(' ') {
                Some((who, _)) => (who, true),
                None => (who, false),
            };
            for case in steps(&step.below) {
                let place = format!("{place}, line {}: {}", case.number, case.line);
                self.decide(who, mfa, database, &case, &place);
            }
        } else if let Some(rest) = line.strip_prefix("member ") {
            let (path, user) = rest.split_once(" of user/").expect("its form");
            self.join(path, user);
        } else if let Some(rest) = line.strip_prefix("key ") {
            let (name, identity) = rest.split_once(" of ").expect("its form");
            let made = self
                .admin
                .post(&format!("/v1/{identity}/access_key"), &json!({}));
            let key = (identity.to_owned(), AccessKey::created(made));
            self.keys.insert(name.to_owned(), key);
        } else if !line.starts_with("user ") {
            let found = self.make(line, document(step));
            assert!(ok(found.status), "{place}: {} {}", found.status, found.text);
            if let Some(ends) = line.strip_prefix("trust ") {
                let ends = self.real(ends.split(" if ").next().expect("one"));
                let (trustor, trustee) = ends.split_once(" -> ").expect("two ends");
                let path = text(&found.json, "path");
                let ends = (trustor.to_owned(), trustee.to_owned());
                self.trusts.insert(ends, path);
            }
        }
    }

    fn make(&self, line: &str, document: Option<Json>) -> Response {
        let call = self.call(line, document);
        self.admin.send(call.method, &call.path, Some(&call.body))
    }

    fn token_opens_nothing(&mut self, name: &str, place: &str) {
        let session = &self.sessions[name];
        let api = Api::bearer(&self.keyward.api_url, &session.token);
        assert_eq!(api.get("/v1/whoami").status, 401, "{place}");
        let url = RedisUrl::parse(&self.keyward.redis_url);
        for user in [session.key.id.as_str(), ""] {
            let opened = Client::try_connect(&url.with_login(user, &session.token).text());
            assert!(opened.is_err(), "{place}: as `{user}`");
        }
        self.asked += 1;
    }

    /// Where a login goes that names a database. One that names none goes to the listener's default,
    /// which the cases do not have.
    fn go(&mut self, text: &str, place: &str) {
        let (who, database) = text.split_once(" to ").expect("its form");
        let Some((identity, suffix)) = who.split_once('.') else {
            return;
        };
        let key = self.key(identity);
        let url = self.keyward.url_for(&key, &format!(".{suffix}"));
        let opened = Client::try_connect(&url).is_ok();
        assert_eq!(opened, database != "nowhere", "{place}");
        self.asked += 1;
    }

    /// More failed logins with the id of a key than are answered at once.
    fn fail(&mut self, identity: &str) {
        let key = self.key(identity);
        let wrong = AccessKey {
            id: key.id,
            secret: format!("kws_{}_wrong", "A".repeat(20)),
        };
        let url = self.keyward.url_for(&wrong, "");
        for _ in 0..11 {
            assert!(Client::try_connect(&url).is_err());
        }
    }

    fn decide(&mut self, who: &str, mfa: bool, database: &str, case: &Step<'_>, place: &str) {
        let is_session = self.sessions.contains_key(who);
        if !is_session && !who.contains('/') && who != "unauthenticated" {
            return; // a session that nobody here could open
        }
        let (outcome, rest) = case.line.split_once(' ').expect("its form");
        if outcome == "may" {
            if !who.starts_with("user/") || !mfa && who != "user/owner" {
                self.try_change(who, rest, case, place);
            }
            return;
        }
        self.asked += 1;
        if let Some((action, resource)) = rest.split_once(" on ") {
            if !is_session {
                let request = json!({ "action": action, "resource": self.real(resource) });
                self.ask(who, mfa, request, outcome, place);
            }
            return;
        }
        let words: Vec<&str> = rest.split(' ').collect();
        if who.starts_with("user/") {
            let request = json!({ "command": words, "database": database });
            return self.ask(who, mfa, request, outcome, place);
        }
        let key = match self.sessions.get(who) {
            Some(session) => session.key.clone(),
            None => self.key(who),
        };
        let answer = self.command(&key, database, &words);
        let refused = matches!(&answer, Value::Error(text)
            if text.starts_with(b"NOPERM ") || text.starts_with(b"WRONGPASS "));
        assert_eq!(refused, outcome != "allow", "{place}: {answer:?}");
    }

    fn ask(&self, who: &str, mfa: bool, mut request: Json, outcome: &str, place: &str) {
        if mfa {
            request["context"] = json!({ "keyward:MultiFactorAuthPresent": "true" });
        }
        let body = json!({ "principal": self.real(who), "request": request });
        // A person asks for herself: nobody else may.
        let name = who.strip_prefix("user/");
        let found = match name.map(|name| self.people.get(name)) {
            None => self.admin.post("/v1/decide", &body),
            Some(None) => return, // the owner signs in with what only the operator can set
            Some(Some((_, token))) => {
                Api::bearer(&self.keyward.api_url, token).post("/v1/decide", &body)
            }
        };
        if found.status == 404 {
            // What a person may not see is not there, and so not explained.
            assert!(name.is_some() && outcome != "allow", "{place}");
            return;
        }
        let found = found.success();
        assert_eq!(found["decision"], outcome, "{place}: {found}");
    }

    fn try_change(&mut self, who: &str, rest: &str, case: &Step<'_>, place: &str) {
        if who == "user/owner" {
            return; // signs in with what only the operator can set
        }
        let (rest, wanted) = match rest.strip_prefix("not ") {
            Some(rest) => (rest, false),
            None => (rest, true),
        };
        let call = self.call(rest, document(case));
        let sign = if call.path.contains('?') { '&' } else { '?' };
        let path = format!("{}{sign}dry_run=true", call.path);
        let api = self.api_of(who);
        let found = api.send(call.method, &path, Some(&call.body));
        let denied = [401, 403, 404].contains(&found.status);
        assert_eq!(!denied, wanted, "{place}: {} {}", found.status, found.text);
        self.asked += 1;
    }
}

#[test]
fn every_case_is_decided_by_api_and_gateway_as_it_says() {
    let mut asked = 0;
    for file in corpus("sessions") {
        let mut world = World::new();
        for step in steps(&file.lines()) {
            let place = format!("{}, line {}: {}", file.name, step.number, step.line);
            world.run(&step, &place);
        }
        asked += world.asked;
    }
    assert!(asked > 60, "{asked} cases");
}
