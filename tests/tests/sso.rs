//! Single sign-on of people at a real OpenID provider: in a real Chromium, and by hand where an answer
//! of the provider is to be a wrong one.

use keyward_e2e::{Keyward, OidcProvider, chromium, node_program};
use serde_json::json;

/// A deployment with two providers of the configuration: `corp`, and `partner`, where whoever signs
/// in for the first time becomes a user.
struct World {
    keyward: Keyward,
    corp: OidcProvider,
    partner: OidcProvider,
    folder: tempfile::TempDir,
}

impl World {
    fn start() -> Self {
        let port = keyward_e2e::free_port().to_string();
        let back = |id: &str| format!("http://localhost:{port}/ui/sso/{id}/callback");
        let corp = OidcProvider::start_at("127.0.0.1", &[&back("corp")]);
        let partner = OidcProvider::start_at("127.0.0.2", &[&back("partner")]);
        let folder = tempfile::tempdir().expect("a folder");
        let secret = folder.path().join("secret");
        std::fs::write(&secret, "secret-of-keyward\n").expect("a file");
        let config = format!(
            "[[sign_in]]\nid = 'corp'\nname = 'Corp'\nissuer = '{}'\nclient_id = 'keyward'\n\
             client_secret_file = 'secret'\n\
             [[sign_in]]\nid = 'partner'\nname = 'Partner'\nissuer = '{}'\nclient_id = 'keyward'\n\
             client_secret_file = 'secret'\nallow_sign_up = true\n",
            corp.issuer, partner.issuer
        );
        let file = folder.path().join("config.toml");
        std::fs::write(&file, config).expect("a file");
        let file = file.display().to_string();
        let data = folder.path().join("data").display().to_string();
        let arguments = ["--api-port", &port, "--config", &file, "--data-dir", &data];
        Self {
            keyward: Keyward::dev(&arguments),
            corp,
            partner,
            folder,
        }
    }

    fn origin(&self) -> String {
        self.keyward.api_url.replace("127.0.0.1", "localhost")
    }
}

#[test]
fn people_sign_in_at_two_providers() {
    let world = World::start();
    let admin = world.keyward.admin();
    admin
        .post("/v1/org/dev/group", &json!({ "id": "developers" }))
        .success();
    let mapping = json!({ "id": "corp", "type": "sign_in", "sign_in": "corp", "mappings": [
        { "claim": "groups", "values": ["developers"], "to": ["group/developers"] }] });
    admin
        .post("/v1/org/dev/identity_provider", &mapping)
        .success();
    let invited = admin.post("/v1/org/dev/org_user", &json!({ "id": "bob" }));
    let invited = invited.success();
    let link = invited["invitation_url"].as_str().expect("a link");
    let folder = world.folder.path().display().to_string();
    let browser = chromium().display().to_string();
    let pair = format!(
        "{}:{}",
        world.keyward.admin_access_key_id, world.keyward.admin_secret_access_key
    );
    std::fs::write(world.folder.path().join("administrator"), pair).expect("a file");
    let keyward = Keyward::command();
    let keyward = keyward.get_program().display().to_string();
    let arguments = [
        &browser,
        &world.origin(),
        &world.keyward.api_url,
        link,
        &world.corp.issuer,
        &world.partner.issuer,
        &keyward,
        &folder,
    ];
    let said = node_program("clients/sso.mjs", "oidc-provider", &arguments).success();
    assert!(said.contains("done"), "{said}");
}

/// A browser without anybody: one request, no redirects followed.
struct Answer {
    status: u16,
    location: String,
    cookies: String,
    text: String,
}

fn visit(url: &str, cookies: &str) -> Answer {
    let agent: ureq::Agent = ureq::Agent::config_builder()
        .http_status_as_error(false)
        .max_redirects(0)
        .max_redirects_will_error(false)
        .timeout_global(Some(std::time::Duration::from_secs(30)))
        .build()
        .into();
    let answer = agent.get(url).header("cookie", cookies).call();
    let mut answer = answer.unwrap_or_else(|error| panic!("{url}: {error}"));
    let text = |name: &str| {
        let values = answer.headers().get_all(name).into_iter();
        values.filter_map(|value| Some(value.to_str().ok()?.split(';').next()?.to_owned()))
    };
    let (location, cookies) = (
        text("location").collect(),
        text("set-cookie").collect::<Vec<_>>(),
    );
    Answer {
        status: answer.status().as_u16(),
        location,
        cookies: cookies.join("; "),
        text: answer.body_mut().read_to_string().expect("a page"),
    }
}

/// A value in the query of a URL, as it stands there.
fn value(url: &str, name: &str) -> String {
    let query = url.split_once('?').map_or("", |(_, query)| query);
    let found = query
        .split('&')
        .find_map(|pair| pair.strip_prefix(&format!("{name}=")));
    found
        .unwrap_or_else(|| panic!("{url} has no {name}"))
        .to_owned()
}

#[test]
fn wrong_answers_of_providers_open_nothing() {
    let world = World::start();
    let origin = world.origin();
    let start = |id: &str| {
        let begun = visit(&format!("{origin}/ui/sso/{id}/start?next=/ui/account"), "");
        assert_eq!(begun.status, 303, "{}", begun.text);
        begun
    };
    let encoded = |issuer: &str| issuer.replace(':', "%3A").replace('/', "%2F");
    let (corp, partner) = (encoded(&world.corp.issuer), encoded(&world.partner.issuer));
    let begun = start("corp");
    assert!(
        begun.location.starts_with(&world.corp.issuer),
        "{}",
        begun.location
    );
    for name in ["state", "nonce", "code_challenge"] {
        assert!(
            value(&begun.location, name).len() >= 43,
            "{}",
            begun.location
        );
    }
    assert_eq!(value(&begun.location, "code_challenge_method"), "S256");
    // Of another name of this machine the browser is sent to the one that it comes back to.
    let elsewhere = format!(
        "{}/ui/sso/corp/start?next=/ui/device",
        world.keyward.api_url
    );
    let elsewhere = visit(&elsewhere, "");
    let expected = format!("{origin}/ui/sso/corp/start?next=/ui/device");
    assert_eq!((elsewhere.status, &elsewhere.location), (303, &expected));

    // Each is what a provider's answer, or somebody else's, could be; `state` is that of the sign-in.
    let cases = [
        (
            "another state",
            "corp",
            format!("code=c&state=other&iss={corp}"),
            true,
            400,
        ),
        ("no state", "corp", format!("code=c&iss={corp}"), true, 400),
        (
            "another browser",
            "corp",
            format!("code=c&state=STATE&iss={corp}"),
            false,
            400,
        ),
        (
            "another provider's page",
            "partner",
            format!("code=c&state=STATE&iss={corp}"),
            true,
            400,
        ),
        (
            "another issuer",
            "corp",
            format!("code=c&state=STATE&iss={partner}"),
            true,
            403,
        ),
        (
            "no issuer, where it names itself",
            "corp",
            "code=c&state=STATE".to_owned(),
            true,
            403,
        ),
        (
            "an error",
            "corp",
            format!("error=access_denied&state=STATE&iss={corp}"),
            true,
            403,
        ),
        (
            "an error and a code",
            "corp",
            format!("error=x&code=c&state=STATE&iss={corp}"),
            true,
            403,
        ),
        (
            "no code",
            "corp",
            format!("state=STATE&iss={corp}"),
            true,
            403,
        ),
        (
            "a code of nobody",
            "corp",
            format!("code=c&state=STATE&iss={corp}"),
            true,
            502,
        ),
        (
            "an unknown provider",
            "other",
            format!("code=c&state=STATE&iss={corp}"),
            true,
            400,
        ),
    ];
    for (name, page, query, same_browser, status) in cases {
        let begun = start("corp");
        let state = value(&begun.location, "state");
        let query = query.replace("STATE", &state);
        let cookies = if same_browser { &*begun.cookies } else { "" };
        let url = format!("{origin}/ui/sso/{page}/callback?{query}");
        let answer = visit(&url, cookies);
        assert_eq!(answer.status, status, "{name}: {}", answer.text);
        assert!(!answer.cookies.contains("keyward_login="), "{name}");
        // A step is used up by the first answer from its browser.
        if same_browser {
            let again = format!("{origin}/ui/sso/corp/callback?code=c&state={state}&iss={corp}");
            assert_eq!(visit(&again, cookies).status, 400, "{name}");
        }
    }
    // Linking is asked for by a form of our own page, never by an address.
    let link = visit(&format!("{origin}/ui/sso/corp/start?to=link"), "");
    assert_eq!((link.status, &*link.location), (303, "/ui/account"));
    let malformed = [
        ("start?next=a&next=b", 400),
        ("callback?code=c&state=a&state=b", 400),
        ("link", 405),
    ];
    for (address, status) in malformed {
        let answer = visit(&format!("{origin}/ui/sso/corp/{address}"), "");
        assert_eq!(answer.status, status, "{address}");
    }
}
