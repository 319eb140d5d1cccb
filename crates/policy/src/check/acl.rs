//! What ACL rules leave open: they are decided as the server decides, and that is often more than
//! their author thinks.

use keyward_commands::{ActionBits, ActionId, CommandClass, CommandScope, Flags, execute_actions};

use crate::check::native::names;
use crate::check::report::{Report, Reporter};
use crate::check::rules::Kind;
use crate::finding::path_name;
use crate::{AclUser, check::draft};

/// Reads and checks the rules of one user, or a file of users.
pub(crate) fn check(text: &str, mut out: Reporter<'_>) -> Report {
    let is_file = text.split_ascii_whitespace().next() == Some("user");
    let users = if is_file {
        AclUser::parse_file(text)
    } else {
        AclUser::parse(text).map(|user| vec![(String::new(), user)])
    };
    let users = match users {
        Ok(users) => users,
        Err(findings) => {
            out.add_errors(&findings);
            return out.finish(None);
        }
    };
    let mut lines = Lines { text, at: 0 };
    for (name, user) in &users {
        let line = if is_file {
            lines.of(name)
        } else {
            (0, text.len())
        };
        one(text, line, name, user, &mut out);
    }
    if users.len() > 1 && users.iter().all(|(name, _)| name != "default") {
        let message = "a server that loads this file makes a user `default` that needs no password \
                       and may do everything";
        out.add_range(Kind::AclDefaultOpen, 0, first_word_end(text), "", message)
            .fix("close it", 0, 0, "user default off\n");
    }
    out.finish(Some(users.len()))
}

fn first_word_end(text: &str) -> usize {
    text.find(|c: char| c.is_ascii_whitespace())
        .unwrap_or(text.len())
}

/// The lines of a file, in its order.
struct Lines<'d> {
    text: &'d str,
    at: usize,
}

impl Lines<'_> {
    /// Where the line of the next user begins and ends.
    fn of(&mut self, name: &str) -> (usize, usize) {
        while self.at < self.text.len() {
            let start = self.at;
            let rest = &self.text[start..];
            let length = rest.find(['\n', '\r']).unwrap_or(rest.len());
            self.at = (start + length + 1).min(self.text.len());
            let mut words = rest[..length].split_ascii_whitespace();
            if words.next() == Some("user") && words.next() == Some(name) {
                return (start, start + length);
            }
        }
        (0, self.text.len())
    }
}

/// The rules that findings point at: of each kind the last one, else the beginning of the line. Found in one
/// pass, since there may be as many findings as selectors.
struct Pointers {
    no_password: (usize, usize),
    every_command: (usize, usize),
    key_pattern: (usize, usize),
    scripts: (usize, usize),
    every_channel: (usize, usize),
    on: (usize, usize),
}

impl Pointers {
    fn of(text: &str, (from, to): (usize, usize)) -> Self {
        let line = (from, to.min(from + draft::token_end(&text[from..to], 0)));
        let mut found = Self {
            no_password: line,
            every_command: line,
            key_pattern: line,
            scripts: line,
            every_channel: line,
            on: line,
        };
        let mut at = from;
        for word in text[from..to].split_inclusive(|c: char| c.is_ascii_whitespace()) {
            let rule = word.trim_ascii_end();
            let place = (at, at + rule.len());
            at += word.len();
            let bare = rule.trim_start_matches('(').trim_end_matches(')');
            if bare.starts_with(['~', '%']) {
                found.key_pattern = place;
                continue;
            }
            let bare = bare.to_ascii_lowercase();
            if matches!(&*bare, "+@all" | "allcommands") {
                found.every_command = place;
            }
            if bare == "+@all" || (bare.starts_with('+') && bare.contains("script")) {
                found.scripts = place;
            }
            match &*bare {
                "nopass" => found.no_password = place,
                "&*" | "allchannels" => found.every_channel = place,
                "on" => found.on = place,
                _ => {}
            }
        }
        found
    }
}

fn one(text: &str, (from, to): (usize, usize), name: &str, user: &AclUser, out: &mut Reporter<'_>) {
    let path = path_name(name);
    let found = Pointers::of(text, (from, to));
    let of = |test: &dyn Fn(ActionId) -> bool, bits: &ActionBits| -> ActionBits {
        bits.iter().filter(|action| test(*action)).collect()
    };
    if user.login().any_password {
        let (start, end) = found.no_password;
        let state = if user.login().enabled {
            ""
        } else {
            " (once it is turned on)"
        };
        let message = format!("any password opens this user{state}");
        out.add_range(Kind::AclNoPassword, start, end, &*path, message);
    }
    for reach in user.reaches() {
        // All that is told of selectors is of one severity.
        if out.is_full(Kind::AclWholeKeyspace) {
            break;
        }
        if reach.key_patterns.is_none() && execute_actions().is_subset_of(reach.commands) {
            let (start, end) = found.every_command;
            let message = "every command on every key, those of future versions included";
            out.add_range(Kind::AclEverything, start, end, &*path, message);
        }
        let Some(1..) = reach.key_patterns else {
            continue;
        };
        let whole = of(&touches_every_key, reach.commands);
        if !whole.is_empty() {
            let (start, end) = found.key_pattern;
            let message = format!(
                "the key patterns do not restrict commands that name no key: {}",
                names(&whole)
            );
            out.add_range(Kind::AclWholeKeyspace, start, end, &*path, message);
        }
        let scripts = of(&is_script, reach.commands);
        if !scripts.is_empty() {
            let (start, end) = found.scripts;
            let message = format!("scripts under a key restriction: {}", names(&scripts));
            out.add_range(Kind::AclScripts, start, end, &*path, message);
        }
        if reach.every_channel && reach.commands.iter().any(subscribes) {
            let (start, end) = found.every_channel;
            let message = "every channel, key-event notifications with the names of all keys too";
            out.add_range(Kind::AclAllChannels, start, end, &*path, message);
        }
    }
    let open = user.login().any_password && user.login().enabled;
    if name == "default" && open {
        let message = "every new connection is the user `default`, without a password";
        let (start, end) = found.on;
        out.add_range(Kind::AclDefaultOpen, start, end, &*path, message);
    }
}

fn touches_every_key(action: ActionId) -> bool {
    let Some(command) = action.command() else {
        return false;
    };
    let command = command.command();
    let data = command
        .flags
        .intersects(Flags::READONLY.union(Flags::WRITE));
    let scope = matches!(
        command.scope,
        CommandScope::WholeKeyspace | CommandScope::Enumeration
    );
    scope && data && command.class != CommandClass::WholeDatabase
}

fn is_script(action: ActionId) -> bool {
    let class = action.command().map(|command| command.command().class);
    class == Some(CommandClass::WholeDatabase)
}

fn subscribes(action: ActionId) -> bool {
    matches!(
        action.name(),
        "kvdb:ExecuteSubscribe" | "kvdb:ExecutePsubscribe" | "kvdb:ExecuteSsubscribe"
    )
}
