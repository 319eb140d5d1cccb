//! People over HTTP: signing in, second factors, sessions, invitations, devices; and what pages send.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use keyward_auth::TotpSecret;
use serde_json::{Value, json};
use support::{Answer, World};

const PASSWORD: &str = "correct horse battery staple";

fn open(world: &World, method: &str, path: &str, body: &Value) -> Answer {
    let headers = [("content-type", "application/json")];
    world.send(&headers, method, path, &body.to_string())
}

fn bearer(world: &World, token: &str, method: &str, path: &str, body: &Value) -> Answer {
    let login = format!("Bearer {token}");
    let headers = [
        ("authorization", &*login),
        ("content-type", "application/json"),
    ];
    let body = if body.is_null() {
        String::new()
    } else {
        body.to_string()
    };
    world.send(&headers, method, path, &body)
}

fn operator(world: &World, method: &str, path: &str, body: &Value) -> Answer {
    bearer(world, "kwo_test", method, path, body)
}

fn text(value: &Value, field: &str) -> String {
    let found = value.get(field).and_then(Value::as_str);
    found
        .unwrap_or_else(|| panic!("no {field} in {value}"))
        .to_owned()
}

/// A person made by the operator: her path.
fn person(world: &World, name: &str) -> String {
    let body = json!({ "sign_in_name": name, "password": PASSWORD });
    let made = operator(world, "POST", "/v1/operator/user", &body);
    assert_eq!(made.status, 201, "{}", made.body);
    text(&made.body, "path")
}

fn sign_in(world: &World, name: &str, password: &str) -> Answer {
    let body = json!({ "sign_in_name": name, "password": password, "client": "test" });
    open(world, "POST", "/v1/login", &body)
}

fn token(world: &World, name: &str) -> String {
    let answer = sign_in(world, name, PASSWORD);
    assert_eq!(answer.status, 200, "{}", answer.body);
    text(&answer.body, "token")
}

/// Bytes of RFC 4648 base 32.
fn unbase32(text: &str) -> Vec<u8> {
    let letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
    let (mut bytes, mut held, mut bits) = (Vec::new(), 0_u32, 0);
    for c in text.chars() {
        held = held << 5 | u32::try_from(letters.find(c).unwrap()).unwrap();
        bits += 5;
        if bits >= 8 {
            bits -= 8;
            bytes.push((held >> bits & 255) as u8);
        }
    }
    bytes
}

/// The code of a secret now, `ahead` steps later: found by trying, as an app would compute it.
fn code(secret: &str, ahead: u64) -> String {
    let secret = TotpSecret::new(&unbase32(secret)).unwrap();
    let at = keyward_server::now().0 / 1000 / 30 * 30 + ahead * 30;
    let mut codes = (0..1_000_000).map(|code| format!("{code:06}"));
    let wanted = at / 30;
    codes
        .find(|code| secret.verify(code, at, wanted.checked_sub(1)) == Some(wanted))
        .unwrap()
}

#[test]
fn a_password_opens_a_session_and_its_end_ends_it() {
    let world = World::start();
    let alice = person(&world, "alice@example.com");
    let answer = sign_in(&world, " Alice@Example.com ", PASSWORD);
    assert_eq!(answer.header("cache-control"), "no-store");
    assert_eq!((answer.status, &answer.body["mfa"]), (200, &json!(false)));
    assert_eq!(answer.body["user"], json!(alice));
    let first = text(&answer.body, "token");
    assert!(first.starts_with("kwl_"), "{first}");
    let me = bearer(&world, &first, "GET", "/v1/whoami", &Value::Null);
    assert_eq!(me.body["principal"], json!(alice));

    let second = token(&world, "alice@example.com");
    let sessions = format!("/v1/{alice}/session");
    let listed = bearer(&world, &second, "GET", &sessions, &Value::Null);
    let items = listed.body["items"].as_array().unwrap().clone();
    assert_eq!(items.len(), 2);
    assert!(
        items
            .iter()
            .all(|item| item["client"] == "test" && item["source"] == "127.0.0.1")
    );
    assert!(
        items
            .iter()
            .all(|item| item["created"]["by"] == json!(alice) && item["created"]["at"].is_string())
    );
    assert!(!listed.body.to_string().contains("hash"));
    let other = items
        .iter()
        .find(|item| item["current"] == json!(false))
        .unwrap();
    let path = format!("{sessions}/{}", text(other, "id"));
    assert_eq!(
        bearer(&world, &second, "DELETE", &path, &Value::Null).status,
        200
    );
    let ended = bearer(&world, &first, "GET", "/v1/whoami", &Value::Null);
    assert_eq!(ended.status, 401);
    assert_eq!(
        bearer(&world, &second, "POST", "/v1/logout", &Value::Null).status,
        200
    );
    assert_eq!(
        bearer(&world, &second, "GET", "/v1/whoami", &Value::Null).status,
        401
    );
}

#[test]
fn nobody_learns_who_exists() {
    let world = World::start();
    person(&world, "alice");
    let wrong = sign_in(&world, "alice", "wrong");
    let nobody = sign_in(&world, "nobody", "wrong");
    let odd = sign_in(&world, "no body/\u{1F600}", "");
    let long = sign_in(&world, "alice", &"x".repeat(5000));
    for answer in [&nobody, &odd, &long] {
        assert_eq!(
            (answer.status, &answer.body["detail"]),
            (401, &wrong.body["detail"])
        );
    }
}

#[test]
fn a_new_password_ends_all_sessions_and_weak_ones_are_refused() {
    let world = World::start();
    let alice = person(&world, "alice");
    let first = token(&world, "alice");
    let path = format!("/v1/{alice}/password");
    for weak in ["short", "alice alice alice", "password12345"] {
        let answer = bearer(&world, &first, "PUT", &path, &json!({ "password": weak }));
        assert_eq!(answer.status, 422, "{weak}: {}", answer.body);
    }
    let new = "purple monkeys dance at dawn";
    let answer = bearer(&world, &first, "PUT", &path, &json!({ "password": new }));
    assert_eq!(answer.status, 200, "{}", answer.body);
    assert_eq!(
        bearer(&world, &first, "GET", "/v1/whoami", &Value::Null).status,
        401
    );
    assert_eq!(sign_in(&world, "alice", PASSWORD).status, 401);
    assert_eq!(sign_in(&world, "alice", new).status, 200);
}

#[test]
fn codes_of_an_app_and_recovery_codes_are_good_for_once() {
    let world = World::start();
    let alice = person(&world, "alice");
    let session = token(&world, "alice");
    let path = format!("/v1/{alice}/totp");
    let offer = bearer(&world, &session, "POST", &path, &Value::Null);
    let (secret, enrolment) = (text(&offer.body, "secret"), text(&offer.body, "enrolment"));
    let uri = text(&offer.body, "uri");
    assert!(uri.contains(&secret) && uri.starts_with("otpauth://totp/Keyward:alice"));
    let bad = json!({ "enrolment": enrolment, "code": "000000x" });
    assert_eq!(bearer(&world, &session, "PUT", &path, &bad).status, 422);
    let used = code(&secret, 0);
    let good = json!({ "enrolment": enrolment, "code": used });
    let set = bearer(&world, &session, "PUT", &path, &good);
    assert_eq!(set.status, 200, "{}", set.body);
    let codes = set.body["recovery_codes"].as_array().unwrap().clone();
    assert_eq!(codes.len(), 10);

    let begin = || {
        let answer = sign_in(&world, "alice", PASSWORD);
        assert_eq!(answer.body["mfa_required"], json!(true), "{}", answer.body);
        assert_eq!(answer.body["methods"], json!(["totp", "recovery_code"]));
        assert!(answer.body.get("token").is_none());
        text(&answer.body, "step")
    };
    let give = |step: &str, code: &str| {
        let body = json!({ "step": step, "code": code });
        open(&world, "POST", "/v1/login/mfa", &body)
    };
    let step = begin();
    assert_eq!(give(&step, &used).status, 401, "the code that set it up");
    let next = code(&secret, 1);
    let signed_in = give(&step, &next);
    assert_eq!(
        (signed_in.status, &signed_in.body["mfa"]),
        (200, &json!(true))
    );
    assert_eq!(give(&step, &next).status, 401, "the step is over");
    assert_eq!(give(&begin(), &next).status, 401, "the code was used");
    let recovery = codes[0].as_str().unwrap().to_uppercase();
    assert_eq!(give(&begin(), &recovery).status, 200);
    assert_eq!(give(&begin(), &recovery).status, 401, "used");
    let step = begin();
    for attempt in 0..5 {
        assert_eq!(give(&step, "000000").status, 401, "{attempt}");
    }
    let unused = codes[1].as_str().unwrap();
    assert_eq!(give(&step, unused).status, 401, "a step has five attempts");
    assert_eq!(give(&begin(), unused).status, 200);
}

#[test]
fn the_operator_alone_makes_and_resets_people() {
    let world = World::start();
    let alice = person(&world, "alice");
    let session = token(&world, "alice");
    let paths = [
        "/v1/operator/user".to_owned(),
        format!("/v1/operator/{alice}/setup_link"),
    ];
    for path in &paths {
        let body = json!({ "sign_in_name": "mallory" });
        for token in [&*session, "kwo_other", ""] {
            let answer = bearer(&world, token, "POST", path, &body);
            assert_eq!(answer.status, 401, "{path} {token}");
        }
        let admin = world.call(&world.admin, "POST", path, &body.to_string());
        assert_eq!(admin.status, 401, "an administrator is no operator");
    }
    let listed = operator(&world, "GET", "/v1/operator/user", &Value::Null);
    let shown = listed.body.to_string();
    assert!(
        shown.contains("alice") && !shown.contains("argon2"),
        "{shown}"
    );
    let people = listed.body["items"].as_array().unwrap();
    let alice = people
        .iter()
        .find(|person| person["sign_in_name"] == "alice");
    assert_eq!(alice.unwrap()["created"]["by"], "operator");
    let link = operator(&world, "POST", &paths[1], &Value::Null);
    assert!(text(&link.body, "setup_link").contains("/ui/setup/kwu_"));
    let made = operator(&world, "POST", &paths[0], &json!({ "sign_in_name": "bob" }));
    assert!(text(&made.body, "setup_link").contains("/ui/setup/kwu_"));
    let again = operator(&world, "POST", &paths[0], &json!({ "sign_in_name": "BOB" }));
    assert_eq!(again.status, 409);
}

#[test]
fn a_person_is_nobody_elses() {
    let world = World::start();
    let alice = person(&world, "alice");
    person(&world, "bob");
    let bob = token(&world, "bob");
    for path in ["sign_in", "session", "passkey"] {
        let path = format!("/v1/{alice}/{path}");
        assert_eq!(
            bearer(&world, &bob, "GET", &path, &Value::Null).status,
            404,
            "{path}"
        );
        let admin = world.call(&world.admin, "GET", &path, "");
        assert_eq!(admin.status, 404, "{path}");
    }
    let path = format!("/v1/{alice}/password");
    let body = json!({ "password": "purple monkeys dance at dawn" });
    assert_eq!(bearer(&world, &bob, "PUT", &path, &body).status, 404);
}

#[test]
fn invitations_are_taken_once_by_whoever_has_them() {
    let world = World::start();
    let invite = |id: &str| {
        let body = json!({ "id": id, "email": "bob@example.com" });
        world.admin("POST", "/v1/org/dev/org_user", &body)
    };
    let made = invite("bob");
    let invitation = text(&made, "invitation_token");
    assert!(text(&made, "invitation_url").ends_with(&invitation));
    let trust = json!({ "id": "bob", "trustor": "org/dev", "trustee": "org/dev/org_user/bob",
        "policies": [{ "document": [{ "Effect": "Allow", "Actions": ["kvdb:@read"], "Resources": ["kvdb/main"] }] }] });
    world.admin("POST", "/v1/org/dev/trust", &trust);
    let held = json!({ "token": invitation });
    let offer = open(&world, "POST", "/v1/invitation", &held);
    assert_eq!(
        offer.body["organisation"],
        json!("org/dev"),
        "{}",
        offer.body
    );
    assert_eq!(offer.body["trusts"][0]["trustor"], json!("org/dev"));
    let changed = json!({ "token": invitation.replace("_bob_", "_rob_") });
    assert_eq!(open(&world, "POST", "/v1/invitation", &changed).status, 404);

    let register = json!({ "token": invitation, "sign_in_name": "bob", "password": PASSWORD });
    let registered = open(&world, "POST", "/v1/invitation/register", &register);
    assert_eq!(registered.status, 201, "{}", registered.body);
    let bob = text(&registered.body, "token");
    let again = json!({ "token": invitation, "sign_in_name": "rob", "password": PASSWORD });
    assert_eq!(
        open(&world, "POST", "/v1/invitation/register", &again).status,
        404
    );
    assert_eq!(
        bearer(&world, &bob, "POST", "/v1/invitation/accept", &held).status,
        404
    );
    // What the organisation trusts the member with, the person may do.
    let body = json!({ "resource": "org/dev/kvdb/main", "action": "kvdb:ExecuteGet" });
    let _ = body;
    let shown = bearer(&world, &bob, "GET", "/v1/whoami", &Value::Null);
    assert_eq!(shown.status, 200);

    let declined = json!({ "token": text(&invite("eve"), "invitation_token") });
    assert_eq!(
        open(&world, "POST", "/v1/invitation/decline", &declined).status,
        200
    );
    assert_eq!(
        open(&world, "POST", "/v1/invitation", &declined).status,
        404
    );
    let admin = world.call(&world.admin, "GET", "/v1/org/dev/org_user/eve", "");
    assert!(!admin.body.to_string().contains("token_hash"));
}

#[test]
fn devices_wait_for_their_person() {
    let world = World::start();
    let asked = open(
        &world,
        "POST",
        "/v1/login/device",
        &json!({ "client": "keyward on laptop" }),
    );
    assert_eq!(asked.status, 200, "{}", asked.body);
    assert!(
        text(&asked.body, "verification_uri_complete").contains(&text(&asked.body, "user_code"))
    );
    let ask = |body: &str, kind: &str| {
        let headers = [("content-type", kind)];
        world.send(&headers, "POST", "/v1/login/token", body)
    };
    let form = format!(
        "grant_type=urn%3Aietf%3Aparams%3Aoauth%3Agrant-type%3Adevice_code&device_code={}",
        text(&asked.body, "device_code")
    );
    let waiting = ask(&form, "application/x-www-form-urlencoded");
    assert_eq!(waiting.status, 400);
    assert_eq!(
        waiting.body["error"],
        json!("authorization_pending"),
        "{}",
        waiting.body
    );
    let soon = ask(&form, "application/x-www-form-urlencoded");
    assert_eq!(soon.body["error"], json!("slow_down"));
    let wrong = json!({ "grant_type": "authorization_code", "code": "x", "code_verifier": "y" });
    let wrong = ask(&wrong.to_string(), "application/json");
    assert_eq!(wrong.body["error"], json!("invalid_grant"));
    let none = ask("{}", "application/json");
    assert_eq!(none.status, 422, "{}", none.body);
}

#[test]
fn pages_are_closed_to_other_sites() {
    let world = World::start();
    let page = world.send(&[], "GET", "/ui/sign-in", "");
    assert_eq!(page.status, 200);
    let policy = page.header("content-security-policy");
    for part in [
        "default-src 'none'",
        "frame-ancestors 'none'",
        "form-action 'self'",
    ] {
        assert!(policy.contains(part), "{policy}");
    }
    assert!(
        !policy.contains("unsafe") && !policy.contains("http"),
        "{policy}"
    );
    let cookie = page.header("set-cookie");
    for part in ["HttpOnly", "SameSite=Strict", "Path=/ui"] {
        assert!(cookie.contains(part), "{cookie}");
    }
    let html = page.body.as_str().unwrap();
    let token = html.split("name=\"form\" value=\"").nth(1).unwrap();
    let token = token.split('"').next().unwrap();
    let cookie = cookie.split(';').next().unwrap();
    let body = format!("form={token}&name=nobody&password=wrong");
    let submit = |headers: &[(&str, &str)], body: &str| {
        let mut all = vec![("content-type", "application/x-www-form-urlencoded")];
        all.extend(headers);
        world.send(&all, "POST", "/ui/sign-in", body).status
    };
    let cases: [(&[(&str, &str)], u16); 6] = [
        (&[("cookie", cookie)], 401),
        (
            &[("cookie", cookie), ("sec-fetch-site", "same-origin")],
            401,
        ),
        (&[("cookie", cookie), ("sec-fetch-site", "cross-site")], 403),
        (&[("cookie", cookie), ("sec-fetch-site", "same-site")], 403),
        (
            &[("cookie", cookie), ("origin", "https://evil.example")],
            403,
        ),
        (&[], 403),
    ];
    for (headers, expected) in cases {
        assert_eq!(submit(headers, &body), expected, "{headers:?}");
    }
    assert_eq!(
        submit(&[("cookie", cookie)], "name=nobody&password=wrong"),
        403
    );
    // Signed out: to the sign-in page, and nowhere else.
    let account = world.send(&[], "GET", "/ui/device?code=abcd-efgh", "");
    assert!(account.body.as_str().unwrap().contains("name=\"password\""));
}
