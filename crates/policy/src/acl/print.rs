//! Rules as `ACL LIST` prints them, without passwords.

use std::fmt::{self, Display, Formatter, Write as _};

use keyward_commands::{ActionBits, CommandId};

use super::AclUser;
use super::commands;
use super::selector::Selector;

/// The rules, which [`AclUser::parse`] reads back as the same user but for its passwords.
impl Display for AclUser {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str(if self.login.enabled { "on" } else { "off" })?;
        if self.login.any_password {
            f.write_str(" nopass")?;
        }
        for (number, selector) in self.selectors.iter().enumerate() {
            f.write_str(" ")?;
            if number == 0 {
                write_selector(f, selector, false)?;
            } else {
                f.write_str("(")?;
                write_selector(f, selector, true)?;
                f.write_str(")")?;
            }
        }
        Ok(())
    }
}

fn write_selector(f: &mut Formatter<'_>, selector: &Selector, inside: bool) -> fmt::Result {
    match &selector.keys {
        None => f.write_str("~* ")?,
        Some(patterns) => {
            for pattern in patterns {
                let access = match (pattern.reads, pattern.writes) {
                    // `~*` would mean the empty key, too.
                    (true, true) if pattern.glob.is_everything() => "%RW~",
                    (true, true) => "~",
                    (true, false) => "%R~",
                    (false, _) => "%W~",
                };
                write_rule(f, access, pattern.glob.text(), inside)?;
                f.write_str(" ")?;
            }
        }
    }
    match &selector.channels {
        None => f.write_str("&* ")?,
        Some(patterns) => {
            f.write_str("resetchannels ")?;
            for pattern in patterns {
                write_rule(f, "&", pattern.text(), inside)?;
                f.write_str(" ")?;
            }
        }
    }
    match selector.databases.as_deref() {
        None => {}
        Some([]) => f.write_str("resetdbs ")?,
        Some(databases) => {
            for (at, database) in databases.iter().enumerate() {
                let before = if at == 0 { "db=" } else { "," };
                write!(f, "{before}{database}")?;
            }
            f.write_str(" ")?;
        }
    }
    write_commands(f, selector, inside)
}

/// A rule of text; in quotes where the server would not read it back otherwise.
fn write_rule(f: &mut Formatter<'_>, before: &str, text: &[u8], inside: bool) -> fmt::Result {
    let plain = std::str::from_utf8(text)
        .ok()
        .filter(|text| !inside || !(text.contains(['"', '\'']) || text.ends_with(')')));
    if let Some(text) = plain {
        f.write_str(before)?;
        return f.write_str(text);
    }
    f.write_char('"')?;
    f.write_str(before)?;
    for chunk in text.utf8_chunks() {
        for c in chunk.valid().chars() {
            if matches!(c, '"' | '\\') {
                f.write_char('\\')?;
            }
            f.write_char(c)?;
        }
        for byte in chunk.invalid() {
            write!(f, "\\x{byte:02x}")?;
        }
    }
    f.write_char('"')
}

fn write_commands(f: &mut Formatter<'_>, selector: &Selector, inside: bool) -> fmt::Result {
    let (sign, named) = if selector.future {
        f.write_str("+@all")?;
        ('-', commands::every().subtract(&selector.commands))
    } else {
        f.write_str("-@all")?;
        ('+', selector.commands.clone())
    };
    write_named(f, sign, &named)?;
    for known in &selector.first_arguments {
        for argument in &known.words {
            let rule = format!("+{}|", known.command.command().name);
            f.write_char(' ')?;
            write_rule(f, &rule, argument.as_bytes(), inside)?;
        }
    }
    Ok(())
}

/// The names of commands, a container's own where all of its subcommands are among them.
fn write_named(f: &mut Formatter<'_>, sign: char, actions: &ActionBits) -> fmt::Result {
    let mut written = ActionBits::EMPTY;
    let other = if sign == '+' { '-' } else { '+' };
    for id in CommandId::all().filter(|id| actions.contains(id.action())) {
        if written.contains(id.action()) {
            continue;
        }
        let name = id.command().name;
        let container = name
            .split_once('|')
            .map_or(name, |(container, _)| container);
        let Some(whole) = commands::named(container).filter(|named| named.container) else {
            write!(f, " {sign}{name}")?;
            continue;
        };
        // `COMMAND` alone cannot be named without its subcommands.
        if container == name || whole.actions.is_subset_of(actions) {
            write!(f, " {sign}{container}")?;
            let rest = whole.actions.subtract(actions);
            for id in CommandId::all().filter(|id| rest.contains(id.action())) {
                write!(f, " {other}{}", id.command().name)?;
            }
            written = written.union(&whole.actions);
        } else {
            write!(f, " {sign}{name}")?;
        }
    }
    Ok(())
}
