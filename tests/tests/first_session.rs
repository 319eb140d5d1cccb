//! What a newcomer does first, on every backend: a second database, a second identity, each kind of
//! grant in turn, and a key that is deleted while it is in use. Every step goes through the HTTP API
//! and is seen by connections that were open before it.

use keyward_e2e::{
    AccessKey, Api, Backend, Client, Keyward, assert_error, bulk, error_text, node, ok, python,
    redis_cli, simple,
};
use keyward_resp::Value;
use serde_json::{Value as Json, json};

/// A running deployment with a second database, `kvdb/second`, and a second identity, `worker`.
struct Session {
    keyward: Keyward,
    admin: Api,
    worker: AccessKey,
}

impl Session {
    fn start(backend: Backend) -> Self {
        let keyward = backend.start();
        let admin = keyward.admin();
        create_database(&admin, "second");
        let worker = create_identity(&admin, "dev", "worker");
        Self {
            keyward,
            admin,
            worker,
        }
    }

    /// Makes the worker's trust carry exactly this policy. The first call creates the trust.
    fn grant(&self, policy: Json) {
        let changed = self.admin.put(
            "/v1/org/dev/trust/worker",
            &json!({ "policies": [policy.clone()] }),
        );
        if changed.status != 404 {
            changed.success();
            return;
        }
        let trust = json!({
            "id": "worker",
            "trustor": "org/dev",
            "trustee": "programmatic_identity/worker",
            "policies": [policy],
        });
        self.admin.post("/v1/org/dev/trust", &trust).success();
    }

    /// A connection of the worker to a database.
    fn worker(&self, database: &str) -> Client {
        Client::connect(&self.worker_url(database))
    }

    fn worker_url(&self, database: &str) -> String {
        self.keyward.url_for(&self.worker, &format!(".{database}"))
    }

    /// Sets the resource policy of `kvdb/main`.
    fn resource_policy(&self, policy: Json) {
        let path = "/v1/org/dev/kvdb/main/resource_policy";
        self.admin.put(path, &policy).success();
    }
}

fn create_database(api: &Api, id: &str) {
    api.post("/v1/org/dev/kvdb", &json!({ "id": id })).success();
}

fn create_identity(api: &Api, organisation: &str, id: &str) -> AccessKey {
    let identities = format!("/v1/org/{organisation}/programmatic_identity");
    api.post(&identities, &json!({ "id": id })).success();
    AccessKey::created(api.post(&format!("{identities}/{id}/access_key"), &json!({})))
}

/// Checks that the connection may read and write.
#[track_caller]
fn assert_works(client: &mut Client) {
    assert_eq!(client.call(&["SET", "probe", "1"]), ok());
    assert_eq!(client.call(&["GET", "probe"]), bulk("1"));
    assert_eq!(client.call(&["DEL", "probe"]), Value::Integer(1));
}

/// Checks that every one of these commands is refused for want of a permission.
#[track_caller]
fn assert_refused(client: &mut Client, commands: &[&[&str]]) {
    for command in commands {
        let reply = client.call(command);
        let text = error_text(&reply);
        assert!(text.starts_with("NOPERM"), "{command:?} answered {text}");
    }
}

/// Something of everything: what an identity without permissions is refused.
const ANYTHING: &[&[&str]] = &[
    &["PING"],
    &["GET", "k"],
    &["SET", "k", "v"],
    &["DEL", "k"],
    &["KEYS", "*"],
    &["SCAN", "0"],
    &["DBSIZE"],
    &["FLUSHALL"],
    &["INFO"],
    &["CONFIG", "GET", "*"],
    &["EVAL", "return 1", "0"],
    &["PUBLISH", "c", "m"],
];

fn the_application_reads_and_writes(backend: Backend) {
    let keyward = backend.start();
    assert_eq!(
        redis_cli(&keyward.redis_url, &["SET", "greeting", "hello"]).success(),
        "OK"
    );
    assert_eq!(
        redis_cli(&keyward.redis_url, &["GET", "greeting"]).success(),
        "hello"
    );

    let script = "
import os, redis, valkey
for module in redis, valkey:
    client = module.from_url(os.environ['URL'], decode_responses=True)
    client.set('python', module.__name__)
    print(client.get('greeting'), client.pipeline().incr('n').get('python').execute())
";
    let lines = "hello [1, 'redis']\nhello [2, 'valkey']";
    assert_eq!(
        python(script, &[("URL", &keyward.redis_url)]).success(),
        lines
    );

    let script = "
const Redis = require('ioredis');
const client = new Redis(process.env.URL);
(async () => {
    console.log(await client.get('greeting'));
    console.log(await client.pipeline().set('node', 'yes').get('node').exec());
    console.log(await client.multi().incr('n').get('nothing').exec());
    client.disconnect();
})();
";
    let lines = "hello\n[ [ null, 'OK' ], [ null, 'yes' ] ]\n[ [ null, 3 ], [ null, null ] ]";
    assert_eq!(
        node(script, &[("URL", &keyward.redis_url)]).success(),
        lines
    );

    // The data is where it should be: in the server behind, and nowhere else.
    if let Some(server) = &keyward.upstream {
        assert_eq!(server.client().call(&["GET", "greeting"]), bulk("hello"));
    }
}

fn a_new_identity_is_denied_everything(backend: Backend) {
    let session = Session::start(backend);
    for database in ["main", "second"] {
        let mut client = session.worker(database);
        assert_refused(&mut client, ANYTHING);
        // A command that nobody knows is refused in the words that servers have for it.
        assert_error(&client.call(&["NOSUCHCOMMAND"]), "ERR unknown command");
    }
    let api = Api::new(
        &session.keyward.api_url,
        &session.worker.id,
        &session.worker.secret,
    );
    api.post("/v1/org/dev/kvdb", &json!({ "id": "own" }))
        .expect_status(403);
    api.delete("/v1/org/dev/kvdb/main").expect_status(403);
    let trust = json!({
        "id": "own",
        "trustor": "org/dev",
        "trustee": "programmatic_identity/worker",
        "policies": [[{ "Effect": "Allow", "Actions": ["*"], "Resources": ["**"] }]],
    });
    api.post("/v1/org/dev/trust", &trust).expect_status(403);
    assert_refused(&mut session.worker("main"), ANYTHING);
}

fn full_access_to_one_database(backend: Backend) {
    let session = Session::start(backend);
    let (mut main, mut second) = (session.worker("main"), session.worker("second"));
    let full_access = |database: &str| {
        let database = format!("kvdb/{database}");
        json!([{ "Effect": "Allow", "Actions": ["kvdb:Execute*"], "Resources": [database] }])
    };

    session.grant(full_access("main"));
    assert_works(&mut main);
    assert_eq!(main.call(&["FLUSHALL"]), ok());
    assert_refused(&mut second, ANYTHING);
    // Whatever a policy says, the server itself is the operator's.
    let administration: &[&[&str]] = &[
        &["CONFIG", "SET", "maxmemory", "0"],
        &["SHUTDOWN", "NOSAVE"],
        &["DEBUG", "SLEEP", "0"],
        &["ACL", "SETUSER", "x"],
        &["REPLICAOF", "NO", "ONE"],
        &["MODULE", "LIST"],
    ];
    assert_refused(&mut main, administration);

    session.grant(full_access("second"));
    assert_refused(&mut main, ANYTHING);
    assert_works(&mut second);
}

fn full_access_to_all_databases_also_later_ones(backend: Backend) {
    let session = Session::start(backend);
    session.grant(json!([
        { "Effect": "Allow", "Actions": ["kvdb:Execute*"], "Resources": ["kvdb/*"] },
    ]));
    assert_works(&mut session.worker("main"));
    assert_works(&mut session.worker("second"));
    create_database(&session.admin, "later");
    assert_works(&mut session.worker("later"));
    // Data of one database is not seen in another.
    assert_eq!(session.worker("main").call(&["SET", "k", "main"]), ok());
    assert_eq!(session.worker("later").call(&["GET", "k"]), Value::Null);
}

fn read_only(backend: Backend) {
    let session = Session::start(backend);
    let mut owner = session.keyward.client();
    owner.call(&["SET", "text", "1"]);
    owner.call(&["RPUSH", "list", "b", "a"]);
    owner.call(&["HSET", "hash", "field", "value"]);
    owner.call(&["SADD", "set", "member"]);
    owner.call(&["ZADD", "zset", "1", "member"]);
    session.grant(json!([
        { "Effect": "Allow", "Actions": ["kvdb:@read"], "Resources": ["kvdb/main"] },
    ]));

    let mut reader = session.worker("main");
    let reads: &[(&[&str], Value)] = &[
        (&["GET", "text"], bulk("1")),
        (&["get", "nothing"], Value::Null),
        (
            &["MGET", "text", "nothing"],
            Value::Array(vec![bulk("1"), Value::Null]),
        ),
        (&["EXISTS", "text", "list"], Value::Integer(2)),
        (&["TYPE", "list"], simple("list")),
        (
            &["LRANGE", "list", "0", "-1"],
            Value::Array(vec![bulk("b"), bulk("a")]),
        ),
        (
            &["HGETALL", "hash"],
            Value::Array(vec![bulk("field"), bulk("value")]),
        ),
        (&["SMEMBERS", "set"], Value::Array(vec![bulk("member")])),
        (&["ZSCORE", "zset", "member"], bulk("1")),
        (&["DBSIZE"], Value::Integer(5)),
        (&["PING"], simple("PONG")),
    ];
    for (command, expected) in reads {
        assert_eq!(reader.call(command), *expected, "{command:?}");
    }

    let writes: &[&[&str]] = &[
        &["SET", "text", "2"],
        &["SETEX", "text", "1", "2"],
        &["GETSET", "text", "2"],
        &["GETDEL", "text"],
        &["GETEX", "text", "PX", "1"],
        &["APPEND", "text", "2"],
        &["INCR", "text"],
        &["MSET", "text", "2"],
        &["DEL", "text"],
        &["UNLINK", "text"],
        &["EXPIRE", "text", "1"],
        &["PERSIST", "text"],
        &["RENAME", "text", "other"],
        &["COPY", "text", "other"],
        &["MOVE", "text", "1"],
        &["SORT", "list", "ALPHA", "STORE", "other"],
        &["LPUSH", "list", "c"],
        &["LPOP", "list"],
        &["HSET", "hash", "field", "2"],
        &["HDEL", "hash", "field"],
        &["SADD", "set", "2"],
        &["SREM", "set", "member"],
        &["SUNIONSTORE", "set", "set", "set"],
        &["ZADD", "zset", "2", "member"],
        &["ZPOPMIN", "zset"],
        &["ZREMRANGEBYRANK", "zset", "0", "-1"],
        &["FLUSHDB"],
        &["FLUSHALL"],
        &["SWAPDB", "0", "1"],
        &["EVAL", "return redis.call('del', 'text')", "1", "text"],
        &["PUBLISH", "c", "m"],
    ];
    assert_refused(&mut reader, writes);
    for (command, expected) in reads {
        assert_eq!(
            reader.call(command),
            *expected,
            "{command:?} after the writes"
        );
    }

    // A refusal stands at its place among the replies.
    let replies = reader.pipeline(&[&["GET", "text"], &["DEL", "text"], &["GET", "text"]]);
    assert_eq!((&replies[0], &replies[2]), (&bulk("1"), &bulk("1")));
    assert_error(&replies[1], "NOPERM");

    // As clients do it: redis-py's pipelines are transactions unless told otherwise.
    let script = "
import os, redis
client = redis.from_url(os.environ['URL'], decode_responses=True)
for transaction in True, False:
    print(client.pipeline(transaction).get('text').lrange('list', 0, -1).hgetall('hash').execute())
for transaction in True, False:
    try:
        print(client.pipeline(transaction).get('text').delete('text').execute())
    except redis.exceptions.NoPermissionError as error:
        print('refused')
    except redis.exceptions.ExecAbortError as error:
        print('refused')
print(client.get('text'))
";
    let read = "['1', ['b', 'a'], {'field': 'value'}]";
    let url = session.worker_url("main");
    let lines = format!("{read}\n{read}\nrefused\nrefused\n1");
    assert_eq!(python(script, &[("URL", &url)]).success(), lines);
}

fn two_databases_in_one_statement(backend: Backend) {
    let session = Session::start(backend);
    create_database(&session.admin, "third");
    session.grant(json!([{
        "Effect": "Allow",
        "Actions": ["kvdb:Execute*"],
        "Resources": ["kvdb/main", "kvdb/second"],
    }]));
    assert_works(&mut session.worker("main"));
    assert_works(&mut session.worker("second"));
    assert_refused(&mut session.worker("third"), ANYTHING);
}

fn deny_wins_whatever_else_allows(backend: Backend) {
    let session = Session::start(backend);
    let flushall = "kvdb:ExecuteFlushall";
    session.grant(json!([
        { "Effect": "Allow", "Actions": ["*"], "Resources": ["**"] },
        { "Effect": "Deny", "Actions": [flushall], "Resources": ["kvdb/*"] },
    ]));
    session.resource_policy(json!([{
        "Effect": "Allow",
        "Actions": [flushall, "kvdb:Execute*"],
        "Identities": ["programmatic_identity/worker"],
    }]));
    let mut worker = session.worker("main");
    assert_works(&mut worker);
    assert_eq!(worker.call(&["SET", "kept", "1"]), ok());

    let ways: &[&[&str]] = &[
        &["FLUSHALL"],
        &["flushall", "ASYNC"],
        &["EVAL", "return redis.call('FLUSHALL')", "0"],
        &["EVAL", "return redis.pcall('flushall')", "1", "kept"],
        &["EVAL_RO", "return redis.call('FLUSHALL')", "0"],
        &["EVALSHA", "0000000000000000000000000000000000000000", "0"],
        &["FCALL", "flush", "0"],
        &[
            "FUNCTION",
            "LOAD",
            "#!lua name=l\nredis.register_function('f', print)",
        ],
    ];
    assert_refused(&mut worker, ways);
    // To hand a script in is not to run it.
    if backend != Backend::Embedded {
        let loaded = worker.call(&["SCRIPT", "LOAD", "return redis.call('FLUSHALL')"]);
        let Value::Bulk(digest) = loaded else {
            panic!("SCRIPT LOAD answered {loaded:?}")
        };
        assert_error(
            &worker.call(&[b"EVALSHA".as_slice(), &digest, b"0"]),
            "NOPERM",
        );
    }
    assert_eq!(worker.call(&["MULTI"]), ok());
    assert_refused(&mut worker, &[&["FLUSHALL"]]);
    assert_error(&worker.call(&["EXEC"]), "EXECABORT");
    assert_eq!(worker.call(&["GET", "kept"]), bulk("1"));

    // Who holds the whole database may run scripts, where there is a server that has them.
    if backend != Backend::Embedded {
        let mut owner = session.keyward.client();
        let script = ["EVAL", "return redis.call('GET', KEYS[1])", "1", "kept"];
        assert_eq!(owner.call(&script), bulk("1"));
    }
}

fn a_resource_policy_accepts_an_identity_of_another_organisation(backend: Backend) {
    let session = Session::start(backend);
    let admin = &session.admin;
    admin.post("/v1/org", &json!({ "id": "partner" })).success();
    let reader = create_identity(admin, "partner", "reader");
    let url = session.keyward.url_for(&reader, ".main.dev");
    let mut owner = session.keyward.client();
    owner.call(&["MSET", "public:1", "one", "private:1", "secret"]);

    // Until it is accepted, the database looks like one that does not exist.
    let refusal = |url: &str| match Client::try_connect(url) {
        Ok(_) => panic!("{url} was let in"),
        Err(reply) => error_text(&reply),
    };
    let unseen = refusal(&url);
    assert!(unseen.starts_with("WRONGPASS"), "{unseen}");
    assert_eq!(
        refusal(&session.keyward.url_for(&reader, ".nothing.dev")),
        unseen
    );

    session.resource_policy(json!([{
        "Effect": "Allow",
        "Identities": ["org/partner/programmatic_identity/reader"],
        "Actions": ["kvdb:@read"],
        "Keys": ["public:*"],
    }]));
    let mut client = Client::connect(&url);
    assert_eq!(client.call(&["GET", "public:1"]), bulk("one"));
    assert_eq!(client.call(&["MGET", "public:1", "public:2"]), {
        Value::Array(vec![bulk("one"), Value::Null])
    });
    let refused: &[&[&str]] = &[
        &["GET", "private:1"],
        &["GET", "public"],
        &["MGET", "public:1", "private:1"],
        &["SET", "public:1", "two"],
        &["DEL", "public:1"],
        &["DBSIZE"],
        &["FLUSHALL"],
        &["EVAL", "return redis.call('GET', 'private:1')", "0"],
    ];
    assert_refused(&mut client, refused);
    // Enumerations show what may be read, and nothing else.
    let shown = Value::Array(vec![bulk("public:1")]);
    assert_eq!(client.call(&["KEYS", "*"]), shown);
    assert_eq!(client.call(&["KEYS", "private:*"]), Value::Array(vec![]));
    assert_eq!(redis_cli(&url, &["GET", "public:1"]).success(), "one");
    // What the resource accepts is this identity, not its organisation's others.
    let other = create_identity(admin, "partner", "other");
    assert_eq!(
        refusal(&session.keyward.url_for(&other, ".main.dev")),
        unseen
    );

    admin
        .delete("/v1/org/dev/kvdb/main/resource_policy")
        .success();
    let text = error_text(&client.call(&["GET", "public:1"]));
    assert!(
        text.starts_with("NOPERM") || text.starts_with("NOAUTH"),
        "{text}"
    );
}

fn an_unauthenticated_connection(backend: Backend) {
    let session = Session::start(backend);
    session
        .keyward
        .client()
        .call(&["MSET", "public:1", "one", "private:1", "secret"]);
    let mut stranger = session.keyward.stranger();
    for command in ANYTHING {
        assert_error(&stranger.call(command), "NOAUTH");
    }

    session.resource_policy(json!([{
        "Effect": "Allow",
        "Identities": ["unauthenticated"],
        "Actions": ["kvdb:ExecuteGet"],
        "Keys": ["public:*"],
    }]));
    let mut later = session.keyward.stranger();
    for client in [&mut stranger, &mut later] {
        assert_eq!(client.call(&["GET", "public:1"]), bulk("one"));
        assert_eq!(client.call(&["PING"]), simple("PONG"));
        let refused: &[&[&str]] = &[
            &["GET", "private:1"],
            &["MGET", "public:1"],
            &["SET", "public:1", "two"],
            &["SCAN", "0"],
            &["FLUSHALL"],
            &["EVAL", "return 1", "0"],
        ];
        assert_refused(client, refused);
    }
    // Whoever can log in still can, and is then somebody.
    let key = &session.keyward;
    assert_eq!(
        later.call(&["AUTH", &key.access_key_id, &key.secret_access_key]),
        ok()
    );
    assert_eq!(later.call(&["GET", "private:1"]), bulk("secret"));

    let path = "/v1/org/dev/kvdb/main/resource_policy";
    session.admin.delete(path).success();
    assert_error(&stranger.call(&["GET", "public:1"]), "NOAUTH");
    assert_eq!(later.call(&["GET", "public:1"]), bulk("one"));
}

fn a_deleted_key_is_refused_at_the_next_command(backend: Backend) {
    let session = Session::start(backend);
    session.grant(json!([
        { "Effect": "Allow", "Actions": ["kvdb:Execute*"], "Resources": ["kvdb/*"] },
    ]));
    let keys = "/v1/org/dev/programmatic_identity/worker/access_key";
    let replacement = AccessKey::created(session.admin.post(keys, &json!({})));
    let mut client = session.worker("main");
    let mut in_transaction = session.worker("main");
    assert_works(&mut client);
    assert_eq!(in_transaction.call(&["MULTI"]), ok());
    assert_eq!(
        in_transaction.call(&["SET", "queued", "1"]),
        simple("QUEUED")
    );
    let url = session.worker_url("main");
    assert_eq!(redis_cli(&url, &["PING"]).success(), "PONG");

    session
        .admin
        .delete(&format!("{keys}/{}", session.worker.id))
        .success();
    let deleted = "NOAUTH Authentication required: access key deleted";
    assert_error(&client.call(&["GET", "k"]), deleted);
    assert_error(&client.call(&["PING"]), "NOAUTH");
    // What was queued is not carried out.
    assert_error(&in_transaction.call(&["EXEC"]), "");
    assert_error(&in_transaction.call(&["GET", "queued"]), "NOAUTH");
    assert_eq!(
        session.keyward.client().call(&["GET", "queued"]),
        Value::Null
    );
    // Nobody gets in with it again, but the connection may log in with another.
    let refused = Client::try_connect(&url).expect_err("the key was deleted");
    assert_error(&refused, "WRONGPASS");
    let user = format!("{}.main", replacement.id);
    assert_eq!(client.call(&["AUTH", &user, &replacement.secret]), ok());
    assert_works(&mut client);
}

fn a_deleted_key_ends_clients_libraries_too(backend: Backend) {
    let session = Session::start(backend);
    session.grant(json!([
        { "Effect": "Allow", "Actions": ["kvdb:Execute*"], "Resources": ["kvdb/main"] },
    ]));
    // The program itself deletes the key that it is connected with, and goes on.
    let script = "
import base64, os, redis, urllib.request
client = redis.from_url(os.environ['URL'], decode_responses=True, protocol=int(os.environ['RESP']))
print(client.set('k', 'v'), client.get('k'))
login = base64.b64encode(os.environ['ADMIN'].encode()).decode()
urllib.request.urlopen(urllib.request.Request(
    os.environ['KEY'], method='DELETE', headers={'Authorization': 'Basic ' + login}))
try:
    print(client.get('k'))
except redis.exceptions.AuthenticationError as error:
    print(error)
";
    let keyward = &session.keyward;
    let admin = format!(
        "{}:{}",
        keyward.admin_access_key_id, keyward.admin_secret_access_key
    );
    let keys = "/v1/org/dev/programmatic_identity/worker/access_key";
    for protocol in ["2", "3"] {
        let key = AccessKey::created(session.admin.post(keys, &json!({})));
        let variables = [
            ("URL", keyward.url_for(&key, ".main")),
            ("ADMIN", admin.clone()),
            ("KEY", format!("{}{keys}/{}", keyward.api_url, key.id)),
            ("RESP", protocol.to_owned()),
        ];
        let variables = variables
            .each_ref()
            .map(|(name, value)| (*name, value.as_str()));
        let said = python(script, &variables).success();
        assert_eq!(
            said, "True v\nAuthentication required: access key deleted",
            "RESP{protocol}"
        );
    }
}

keyward_e2e::on_each_backend!(
    the_application_reads_and_writes,
    a_new_identity_is_denied_everything,
    full_access_to_one_database,
    full_access_to_all_databases_also_later_ones,
    read_only,
    two_databases_in_one_statement,
    deny_wins_whatever_else_allows,
    a_resource_policy_accepts_an_identity_of_another_organisation,
    an_unauthenticated_connection,
    a_deleted_key_is_refused_at_the_next_command,
    a_deleted_key_ends_clients_libraries_too,
);
