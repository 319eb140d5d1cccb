//! "Did you mean": the names closest to one that is unknown.

/// Most bytes of an unknown name that are compared: names of ours are far shorter.
const MAX_COMPARED: usize = 64;

/// At most three of `names` that a typing error may have turned into `found`, closest first.
pub(crate) fn nearest(found: &str, names: &[&'static str]) -> Vec<&'static str> {
    if found.len() > MAX_COMPARED {
        return Vec::new();
    }
    let folded = found.to_ascii_lowercase();
    let worst = (folded.len() / 3).max(2);
    let mut scored: Vec<_> = names
        .iter()
        .filter(|name| name.len().abs_diff(folded.len()) <= worst)
        .map(|name| {
            (
                distance(folded.as_bytes(), name.to_ascii_lowercase().as_bytes()),
                *name,
            )
        })
        .filter(|(distance, _)| *distance <= worst)
        .collect();
    scored.sort();
    // What differs by letter case alone was meant, and nothing else.
    if scored.first().is_some_and(|(distance, _)| *distance == 0) {
        scored.retain(|(distance, _)| *distance == 0);
    }
    scored.truncate(3);
    scored.into_iter().map(|(_, name)| name).collect()
}

/// `, did you mean …?` or nothing, to end a message with.
pub(crate) fn suggestion(found: &str, names: &[&'static str]) -> String {
    match nearest(found, names)[..] {
        [] => String::new(),
        [one] => format!(": did you mean `{one}`?"),
        [one, two] => format!(": did you mean `{one}` or `{two}`?"),
        [one, two, three, ..] => format!(": did you mean `{one}`, `{two}` or `{three}`?"),
    }
}

/// Edits (insert, delete, replace) between two short byte strings.
fn distance(a: &[u8], b: &[u8]) -> usize {
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.iter().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, y) in b.iter().enumerate() {
            let replaced = diagonal + usize::from(x != y);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(diagonal + 1).min(row[j] + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn closest_first() {
        let names = ["Actions", "Resources", "Effect", "Keys", "ReadKeys"];
        let cases = [
            ("Action", vec!["Actions"]),
            ("resource", vec!["Resources"]),
            ("Key", vec!["Keys"]),
            ("readkeys", vec!["ReadKeys"]),
            ("keys", vec!["Keys"]),
            ("Nothing", vec![]),
        ];
        for (found, expected) in cases {
            assert_eq!(nearest(found, &names), expected, "{found}");
        }
        assert_eq!(suggestion("Efect", &names), ": did you mean `Effect`?");
        assert_eq!(suggestion(&"x".repeat(1000), &names), "");
    }
}
