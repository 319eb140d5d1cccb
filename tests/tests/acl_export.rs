//! `keyward acl export` of identities with groups, trusts between identities, boundaries and Denies:
//! the rules, loaded into a live server, never allow what the gateway does not.
//!
//! Policies are made at random; the seed is printed, and `KEYWARD_SEED` repeats a run. `KEYWARD_ROUNDS`
//! sets how many worlds are tried.

use keyward_e2e::{AccessKey, Api, Backend, Client, error_text, ok};
use keyward_resp::Value;
use keyward_test_cases::{Random, setting};
use serde_json::{Value as Json, json};

/// Makes documents and calls.
struct Maker(Random);

impl Maker {
    fn some<'a>(&mut self, from: &[&'a str], most: usize) -> Vec<&'a str> {
        let count = 1 + self.0.below(most);
        (0..count).map(|_| self.0.pick(from)).collect()
    }

    fn statement(&mut self) -> Json {
        let effect = if self.0.below(4) == 0 {
            "Deny"
        } else {
            "Allow"
        };
        let mut statement = json!({
            "Effect": effect,
            "Actions": self.some(&ACTIONS, 4),
            "Resources": self.some(&["kvdb/main", "kvdb/*", "**"], 1),
        });
        for (field, chance) in [
            ("Keys", 2),
            ("ReadKeys", 5),
            ("WriteKeys", 5),
            ("Channels", 3),
        ] {
            if self.0.below(chance) == 0 {
                statement[field] = json!(self.some(&PATTERNS, 2));
            }
        }
        let conditions = match self.0.below(16) {
            0 => json!({ "NumericLessThan": { "kvdb:DatabaseIndex": "1" } }),
            1 => json!({ "IpAddress": { "keyward:SourceIp": "127.0.0.0/8" } }),
            2 => json!({ "IpAddress": { "keyward:SourceIp": "10.0.0.0/8" } }),
            3 => json!({ "StringEquals": { "keyward:PrincipalId": "worker" } }),
            _ => return statement,
        };
        statement["Conditions"] = conditions;
        statement
    }

    /// A document that allows `ACL DRYRUN`, unless something denies it.
    fn document(&mut self) -> Json {
        let mut document: Vec<Json> = (0..1 + self.0.below(4)).map(|_| self.statement()).collect();
        document.push(
            json!({ "Effect": "Allow", "Actions": ["kvdb:ExecuteAclDryrun"],
                              "Resources": ["kvdb/main"] }),
        );
        json!(document)
    }

    /// A call of a form, with keys for its `K`.
    fn call(&mut self, form: &str) -> Vec<String> {
        let words = form.split(' ').map(|word| match word {
            "K" => self.0.pick(&KEYS).to_owned(),
            word => word.to_owned(),
        });
        words.collect()
    }
}

const ACTIONS: [&str; 20] = [
    "kvdb:Execute*",
    "kvdb:@read",
    "kvdb:@write",
    "kvdb:@string",
    "kvdb:@list",
    "kvdb:@stream",
    "kvdb:@pubsub",
    "kvdb:@fast",
    "kvdb:@delete",
    "kvdb:@dangerous",
    "kvdb:@keyspace",
    "kvdb:@scripting",
    "kvdb:@connection",
    "kvdb:ExecuteGet",
    "kvdb:ExecuteSet",
    "kvdb:ExecuteScan",
    "kvdb:ExecuteCopy",
    "kvdb:ExecuteSort",
    "kvdb:ExecuteObject*",
    "kvdb:ExecutePsubscribe",
];

const PATTERNS: [&str; 8] = ["a*", "ab*", "a:1", "*", "b?", "[ab]*", "a:*", "z*"];

const KEYS: [&str; 7] = ["a", "ab", "a:1", "b1", "bb", "z1", "q"];

const FORMS: [&str; 66] = [
    "GET K",
    "SET K v",
    "SET K v GET",
    "DEL K",
    "DEL K K",
    "MGET K K",
    "MSET K v K v",
    "HGET K f",
    "LPUSH K v",
    "LMOVE K K LEFT LEFT",
    "SORT K",
    "SORT K BY x_*",
    "SORT K STORE K",
    "EXISTS K",
    "TYPE K",
    "EXPIRE K 10",
    "EXPIRE K -1",
    "GETEX K EX 10",
    "OBJECT ENCODING K",
    "OBJECT HELP",
    "KEYS *",
    "SCAN 0",
    "RANDOMKEY",
    "DBSIZE",
    "FLUSHALL",
    "FLUSHDB",
    "SWAPDB 0 1",
    "PUBLISH K m",
    "SUBSCRIBE K K",
    "PSUBSCRIBE K",
    "PSUBSCRIBE a*",
    "PSUBSCRIBE *",
    "SPUBLISH K m",
    "PUBSUB CHANNELS",
    "PUBSUB CHANNELS K",
    "PUBSUB NUMSUB K",
    "PUBSUB SHARDCHANNELS",
    "EVAL x 1 K",
    "EVAL x 0",
    "FCALL f 1 K",
    "XADD K * f v",
    "XREAD STREAMS K K 0 0",
    "XREADGROUP GROUP g c STREAMS K >",
    "CONFIG GET x",
    "CONFIG SET a b",
    "PING",
    "SELECT 1",
    "MULTI",
    "WATCH K",
    "COPY K K",
    "COPY K K DB 1",
    "RENAME K K",
    "MOVE K 1",
    "STRLEN K",
    "BITFIELD K SET u8 0 1",
    "ZUNIONSTORE K 2 K K",
    "GEORADIUS K 1 1 1 m STORE K",
    "CLIENT LIST",
    "CLIENT TRACKING ON",
    "CLIENT TRACKING ON BCAST",
    "CLIENT TRACKING ON BCAST PREFIX K",
    "FUNCTION LOAD x",
    "INFO",
    "SLOWLOG GET",
    "MEMORY USAGE K",
    "ACL LIST",
];

/// An identity that is a member of a group and acts through another identity.
fn world(admin: &Api) -> AccessKey {
    let of = |kind: &str| format!("/v1/org/dev/{kind}");
    let identities = of("programmatic_identity");
    for id in ["worker", "middle"] {
        admin.post(&identities, &json!({ "id": id })).success();
    }
    admin.post(&of("group"), &json!({ "id": "team" })).success();
    let worker = "programmatic_identity/worker";
    let trusts = [
        ("own", "org/dev", worker, json!([])),
        ("team", "org/dev", "group/team", json!([])),
        (
            "middle",
            "org/dev",
            "programmatic_identity/middle",
            json!([]),
        ),
        (
            "through",
            "programmatic_identity/middle",
            worker,
            json!([{ "Effect": "Allow", "Actions": ["*"], "Resources": ["**"] }]),
        ),
    ];
    for (id, trustor, trustee, policy) in trusts {
        let trust =
            json!({ "id": id, "trustor": trustor, "trustee": trustee, "policies": [policy] });
        admin.post(&of("trust"), &trust).success();
    }
    let member = json!({ "member": worker });
    admin.post(&of("group/team/member"), &member).success();
    AccessKey::created(admin.post(&format!("{identities}/worker/access_key"), &json!({})))
}

#[test]
fn exported_rules_allow_no_more_than_the_gateway() {
    let seed = setting("KEYWARD_SEED", 12);
    println!("KEYWARD_SEED={seed}");
    let mut maker = Maker(Random::new(seed));
    let keyward = Backend::Valkey.start();
    let admin = keyward.admin();
    let key = world(&admin);
    let mut gateway = Client::connect(&keyward.url_for(&key, ""));
    let mut server = keyward.upstream.as_ref().expect("a server").client();
    let (mut allowed, mut narrower, mut asked) = (0, 0, 0);
    for _ in 0..setting("KEYWARD_ROUNDS", 30) {
        let mut documents = Vec::new();
        for trust in ["own", "team", "middle"] {
            let document = maker.document();
            let policies = json!({ "policies": [document] });
            admin
                .put(&format!("/v1/org/dev/trust/{trust}"), &policies)
                .success();
            documents.push(document);
        }
        let boundary = "/v1/org/dev/programmatic_identity/worker/boundary";
        if maker.0.below(3) == 0 {
            let document = maker.document();
            admin
                .put(boundary, &json!({ "policies": [document] }))
                .success();
            documents.push(document);
        } else {
            admin.send("DELETE", boundary, None);
        }
        let export = ["acl", "export", "worker", "main", "--user", "exported"];
        let line = keyward.cli(&export).success();
        let rules: Vec<&str> = line.split(' ').skip(2).collect();
        server.call(&["ACL", "SETUSER", "exported", "reset"]);
        let set = [&["ACL", "SETUSER", "exported"], &rules[..]].concat();
        assert_eq!(server.call(&set), ok(), "{line}");
        for form in FORMS {
            let times = if form.contains('K') { 3 } else { 1 };
            for _ in 0..times {
                let call = maker.call(form);
                let words: Vec<&str> = call.iter().map(String::as_str).collect();
                let dry = |user| [&["ACL", "DRYRUN", user], &words[..]].concat();
                let theirs = server.call(&dry("exported"));
                let ours = gateway.call(&dry("org/dev/programmatic_identity/worker"));
                let may = ours == ok();
                if matches!(ours, Value::Error(_)) && error_text(&ours).contains("acl|dryrun") {
                    continue; // a Deny of this very command
                }
                asked += 1;
                allowed += usize::from(theirs == ok());
                narrower += usize::from(may && theirs != ok());
                assert!(
                    may || theirs != ok(),
                    "{call:?} is allowed by `{line}`, and here: {ours:?}\n{}",
                    json!(documents)
                );
            }
        }
    }
    println!("{asked} calls, {allowed} allowed by the rules, {narrower} by the gateway alone");
    assert!(allowed > 100, "{allowed} of {asked}");
}
