//! The API's document as a page: made here, without a script, from the table of calls.

use std::fmt::Write as _;

use axum::http::{HeaderName, HeaderValue, header};
use axum::response::{IntoResponse, Response};

use crate::routes::{Endpoint, endpoints};

const STYLE: &str = "\
body{font:16px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem;color:#1b1f24;background:#fff}
h2{margin-top:2.5rem;border-bottom:1px solid #d0d7de}
details{border:1px solid #d0d7de;border-radius:6px;margin:.5rem 0;padding:.4rem .8rem}
summary{cursor:pointer}
code{font:14px/1.4 ui-monospace,monospace}
.method{display:inline-block;min-width:4.5rem;font-weight:bold}
table{border-collapse:collapse;width:100%;margin:.5rem 0}
th,td{text-align:left;vertical-align:top;padding:.25rem .75rem .25rem 0;border-top:1px solid #eaeef2}
@media (prefers-color-scheme:dark){body{color:#e6edf3;background:#0d1117}h2,details{border-color:#30363d}th,td{border-color:#21262d}a{color:#58a6ff}}
";

/// Text that stands for itself in a page.
fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            other => out.push(other),
        }
    }
    out
}

fn fields(page: &mut String, title: &str, fields: &[(&str, &str, &str)]) {
    if fields.is_empty() {
        return;
    }
    // Writing into a string cannot fail.
    let _ = write!(
        page,
        "<table><tr><th>{title}</th><th>Type</th><th>Meaning</th></tr>"
    );
    for (name, kind, meaning) in fields {
        let name = if name.is_empty() {
            "the body itself"
        } else {
            name
        };
        let needed = if kind.ends_with('?') || title == "Parameter" {
            ""
        } else {
            ", needed"
        };
        let _ = write!(
            page,
            "<tr><td><code>{}</code></td><td>{}{needed}</td><td>{}</td></tr>",
            escaped(name),
            escaped(kind.trim_end_matches('?')),
            escaped(meaning),
        );
    }
    page.push_str("</table>");
}

fn call(page: &mut String, endpoint: &Endpoint) {
    let _ = write!(
        page,
        "<details><summary><span class=\"method\">{}</span> <code>{}</code><br>{}</summary>\
         <p>Decided on: {}. Success: {}.</p>",
        endpoint.method,
        escaped(endpoint.path),
        escaped(endpoint.summary),
        escaped(endpoint.decided),
        endpoint.status,
    );
    let query: Vec<_> = endpoint.parameters();
    fields(page, "Parameter", &query);
    fields(page, "Field", endpoint.body);
    page.push_str("</details>");
}

/// What a path is about: the first fixed word behind the organisation.
fn subject(path: &str) -> &str {
    let mut words = path
        .split('/')
        .filter(|word| !word.is_empty() && *word != "v1" && !word.starts_with('{'));
    match words.next() {
        Some("org") => words.next().unwrap_or("org"),
        Some(word) => word,
        None => "",
    }
}

/// The page.
fn page() -> String {
    let mut page = String::from(
        "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\">\
         <meta name=\"viewport\" content=\"width=device-width\">\
         <title>Keyward API</title><link rel=\"stylesheet\" href=\"/ui/api.css\"></head><body>\
         <h1>Keyward API</h1><p>Every call, and what it is decided on. For programs: \
         <a href=\"/openapi.json\">openapi.json</a>.</p>",
    );
    let endpoints = endpoints();
    let mut subjects: Vec<&str> = Vec::new();
    for endpoint in &endpoints {
        let subject = subject(endpoint.path);
        if !subjects.contains(&subject) {
            subjects.push(subject);
        }
    }
    for name in subjects {
        let _ = write!(page, "<h2>{}</h2>", escaped(name));
        let of_subject = |endpoint: &&Endpoint| subject(endpoint.path) == name;
        for endpoint in endpoints.iter().filter(of_subject) {
            call(&mut page, endpoint);
        }
    }
    page.push_str("</body></html>\n");
    page
}

fn document(kind: &'static str, text: String) -> Response {
    let headers: [(HeaderName, HeaderValue); 5] = [
        (header::CONTENT_TYPE, HeaderValue::from_static(kind)),
        (
            header::CONTENT_SECURITY_POLICY,
            HeaderValue::from_static(
                "default-src 'none'; style-src 'self'; base-uri 'none'; form-action 'none'; \
                 frame-ancestors 'none'",
            ),
        ),
        (
            header::X_CONTENT_TYPE_OPTIONS,
            HeaderValue::from_static("nosniff"),
        ),
        (
            header::REFERRER_POLICY,
            HeaderValue::from_static("no-referrer"),
        ),
        (header::CACHE_CONTROL, HeaderValue::from_static("no-cache")),
    ];
    (headers, text).into_response()
}

pub(crate) async fn show() -> Response {
    document("text/html; charset=utf-8", page())
}

pub(crate) async fn style() -> Response {
    document("text/css; charset=utf-8", STYLE.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_call_is_on_the_page_and_nothing_runs() {
        let page = page();
        for endpoint in endpoints() {
            assert!(page.contains(&escaped(endpoint.path)), "{}", endpoint.path);
        }
        for bad in ["<script", "style=", "onload=", "http://", "https://"] {
            assert!(!page.contains(bad), "{bad}");
        }
        assert_eq!(
            escaped("<a href='x'>&\""),
            "&lt;a href=&#39;x&#39;&gt;&amp;&quot;"
        );
    }
}
