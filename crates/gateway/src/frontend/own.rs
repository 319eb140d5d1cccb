//! Commands about the connection and the identity behind it: answered here for every backend.

use std::fmt::Write as _;

use keyward_commands::{Categories, CommandId, Words as _};
use keyward_resp::{Protocol, encode};

use super::client::{Access, Client, Flow, Replies, Turn};
use super::handling::{Namespace, Own};
use super::login::{BAD_CLIENT_NAME, is_client_name};
use super::words::RequestWords;
use crate::backend::Backend;

const CLIENT_HELP: &[&str] = &[
    "CLIENT <subcommand> [<arg> [value] [opt] ...]. Subcommands:",
    "GETNAME",
    "    Return the name of the current connection.",
    "ID",
    "    Return the ID of the current connection.",
    "INFO",
    "    Return information about the current client connection.",
    "LIST",
    "    Return information about the current client connection.",
    "REPLY (ON|OFF|SKIP)",
    "    Control the replies sent to the current connection.",
    "SETINFO <option> <value>",
    "    Set client meta attr. Options are: LIB-NAME, LIB-VER.",
    "SETNAME <name>",
    "    Assign the name <name> to the current connection.",
    "HELP",
    "    Print this help.",
];

/// Words of a request that is inside another one.
struct Inner<'a> {
    words: RequestWords<'a>,
    from: usize,
}

impl keyward_commands::Words for Inner<'_> {
    fn len(&self) -> usize {
        self.words.len().saturating_sub(self.from)
    }

    fn word(&self, at: usize) -> &[u8] {
        self.words.word(at + self.from)
    }
}

impl Client {
    /// A command that is answered here whatever the backend.
    pub(crate) fn own(&mut self, own: Own, words: RequestWords<'_>, turn: &mut Turn<'_>) -> Flow {
        let protocol = self.protocol;
        match own {
            Own::ClientId => {
                let id = i64::try_from(self.id).unwrap_or(i64::MAX);
                self.answer(turn, |out| encode::integer(out, id));
            }
            Own::ClientGetname => {
                let name = self.about.name.clone();
                self.answer(turn, |out| match name.is_empty() {
                    true => encode::null(out, protocol),
                    false => encode::bulk(out, &name),
                });
            }
            Own::ClientSetname => {
                let name = words.word(2);
                if !is_client_name(name) {
                    return self.refuse(BAD_CLIENT_NAME, turn);
                }
                self.about.name = name.into();
                self.answer(turn, |out| encode::simple(out, "OK"));
            }
            Own::ClientSetinfo => return self.client_setinfo(words, turn),
            Own::ClientInfo | Own::ClientList => {
                let line = self.client_line(turn);
                self.answer(turn, |out| {
                    encode::verbatim(out, protocol, "txt", line.as_bytes())
                });
            }
            Own::ClientReply => return self.client_reply(words, turn),
            Own::ClientHelp => self.answer(turn, |out| {
                encode::array(out, CLIENT_HELP.len());
                CLIENT_HELP
                    .iter()
                    .for_each(|line| encode::simple(out, line));
            }),
            Own::AclWhoami => {
                let path = self.principal(turn);
                self.answer(turn, |out| encode::bulk(out, path.as_bytes()));
            }
            Own::AclCat => return self.acl_cat(words, turn),
            Own::AclDryrun => return self.acl_dryrun(words, turn),
        }
        Flow::Done
    }

    fn client_setinfo(&mut self, words: RequestWords<'_>, turn: &mut Turn<'_>) -> Flow {
        let value = words.word(3);
        let place = if words.is(2, "lib-name") {
            &mut self.about.library_name
        } else if words.is(2, "lib-ver") {
            &mut self.about.library_version
        } else {
            let option = String::from_utf8_lossy(words.word(2)).into_owned();
            return self.refuse(&format!("ERR Unrecognized option '{option}'"), turn);
        };
        if !is_client_name(value) {
            let option = String::from_utf8_lossy(words.word(2)).to_ascii_lowercase();
            let text =
                format!("ERR {option} cannot contain spaces, newlines or special characters.");
            return self.refuse(&text, turn);
        }
        *place = value.into();
        self.answer(turn, |out| encode::simple(out, "OK"));
        Flow::Done
    }

    fn client_reply(&mut self, words: RequestWords<'_>, turn: &mut Turn<'_>) -> Flow {
        if words.is(2, "ON") {
            self.replies = Replies::On;
            self.quiet = false;
            self.answer(turn, |out| encode::simple(out, "OK"));
        } else if words.is(2, "OFF") {
            self.replies = Replies::Off;
        } else if words.is(2, "SKIP") {
            if self.replies == Replies::On {
                self.replies = Replies::SkipNext;
            }
        } else {
            return self.refuse("ERR syntax error", turn);
        }
        Flow::Done
    }

    /// The line of `CLIENT LIST` about this connection.
    fn client_line(&self, turn: &Turn<'_>) -> String {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let count = |namespace| {
            self.subscriptions
                .as_ref()
                .map_or(0, |subscriptions| subscriptions.count(namespace))
        };
        let number = match &self.backend {
            Backend::Embedded(embedded) => embedded.number(),
            _ => self.number,
        };
        let mut line = String::new();
        // Writing to a string cannot fail.
        let _ = writeln!(
            line,
            "id={} addr={} laddr={} name={} db={number} sub={} psub={} ssub={} multi={} resp={} \
             user={} lib-name={} lib-ver={}",
            self.id,
            self.peer,
            self.local,
            text(&self.about.name),
            count(Namespace::Channels),
            count(Namespace::Patterns),
            count(Namespace::Shards),
            if self.transaction.is_some() { 0 } else { -1 },
            if self.protocol == Protocol::Resp3 {
                3
            } else {
                2
            },
            self.principal(turn),
            text(&self.about.library_name),
            text(&self.about.library_version),
        );
        line
    }

    /// `ACL CAT [category]`, of Keyward's catalogue: what `kvdb:@…` means.
    fn acl_cat(&mut self, words: RequestWords<'_>, turn: &mut Turn<'_>) -> Flow {
        let Some(asked) = words.get(2) else {
            let names: Vec<_> = Categories::all().map(|(_, name)| name).collect();
            self.answer(turn, |out| {
                encode::array(out, names.len());
                names
                    .iter()
                    .for_each(|name| encode::bulk(out, name.as_bytes()));
            });
            return Flow::Done;
        };
        let category =
            Categories::all().find(|(_, name)| asked.eq_ignore_ascii_case(name.as_bytes()));
        let Some((category, _)) = category else {
            let asked = String::from_utf8_lossy(asked).into_owned();
            return self.refuse(&format!("ERR Unknown category '{asked}'"), turn);
        };
        let commands: Vec<_> = CommandId::all()
            .map(CommandId::command)
            .filter(|command| command.categories.contains(category))
            .collect();
        self.answer(turn, |out| {
            encode::array(out, commands.len());
            commands
                .iter()
                .for_each(|command| encode::bulk(out, command.name.as_bytes()));
        });
        Flow::Done
    }

    /// `ACL DRYRUN user command [arg …]`, for the caller itself.
    fn acl_dryrun(&mut self, words: RequestWords<'_>, turn: &mut Turn<'_>) -> Flow {
        let path = self.principal(turn);
        let Access::Open(open) = &self.access else {
            return self.not_logged_in(turn);
        };
        let directory = turn.shared.directory.load();
        let key = open
            .session
            .access_key
            .and_then(|ix| directory.access_key_by_ix(ix));
        let user = words.word(2);
        let own = user == path.as_bytes()
            || user == b"default"
            || key.is_some_and(|key| key.key_id.as_bytes() == user);
        if !own {
            let user = String::from_utf8_lossy(user).into_owned();
            return self.refuse(&format!("ERR User '{user}' not found"), turn);
        }
        let inner = Inner { words, from: 3 };
        let Ok(command) = keyward_commands::resolve(&inner) else {
            let name = String::from_utf8_lossy(words.word(3)).into_owned();
            return self.refuse(&format!("ERR Command '{name}' not found"), turn);
        };
        let name = command.command().name;
        if !command.command().arity_fits(inner.len()) {
            let text = format!("ERR wrong number of arguments for '{name}' command");
            return self.refuse(&text, turn);
        }
        let decision = directory.decide_command(
            &open.session,
            open.database,
            &inner,
            turn.settings.allow_administration,
            &self.call(turn.now),
        );
        drop(directory);
        self.answer(turn, |out| match decision.is_allow() {
            true => encode::simple(out, "OK"),
            false => {
                let text = format!(
                    "User {path} has no permissions to run the '{name}' command: {} on {}: {}",
                    decision.action, decision.resource, decision.public_message
                );
                encode::bulk(out, text.as_bytes());
            }
        });
        Flow::Done
    }
}
