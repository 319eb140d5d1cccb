//! Which function runs which command.

use crate::call::Call;
use crate::failure::Outcome;
use crate::{
    dump, expiry, hashes, keys, lists, scan, server, sets, sorted_set_combine, sorted_set_ranges,
    sorted_sets, strings,
};
use keyward_commands::{COMMAND_COUNT, CommandId};
use std::sync::LazyLock;

/// Runs one command whose number of words is right.
pub(crate) type Function = fn(&mut Call<'_>) -> Outcome;

/// Every command that the engine can do, by its name in the catalogue.
const FUNCTIONS: &[(&str, Function)] = &[
    ("append", strings::append),
    ("config|get", server::config_get),
    ("copy", keys::copy),
    ("dbsize", server::dbsize),
    ("decr", strings::decr),
    ("decrby", strings::decrby),
    ("del", keys::del),
    ("delifeq", strings::delifeq),
    ("dump", dump::dump),
    ("echo", server::echo),
    ("exists", keys::exists),
    ("expire", expiry::expire),
    ("expireat", expiry::expireat),
    ("expiretime", expiry::expiretime),
    ("flushall", server::flushall),
    ("flushdb", server::flushdb),
    ("get", strings::get),
    ("getdel", strings::getdel),
    ("getex", strings::getex),
    ("getrange", strings::getrange),
    ("getset", strings::getset),
    ("hdel", hashes::hdel),
    ("hexists", hashes::hexists),
    ("hget", hashes::hget),
    ("hgetall", hashes::hgetall),
    ("hincrby", hashes::hincrby),
    ("hincrbyfloat", hashes::hincrbyfloat),
    ("hkeys", hashes::hkeys),
    ("hlen", hashes::hlen),
    ("hmget", hashes::hmget),
    ("hmset", hashes::hmset),
    ("hrandfield", hashes::hrandfield),
    ("hscan", scan::hscan),
    ("hset", hashes::hset),
    ("hsetnx", hashes::hsetnx),
    ("hstrlen", hashes::hstrlen),
    ("hvals", hashes::hvals),
    ("incr", strings::incr),
    ("incrby", strings::incrby),
    ("incrbyfloat", strings::incrbyfloat),
    ("info", server::info),
    ("keys", keys::keys),
    ("lindex", lists::lindex),
    ("linsert", lists::linsert),
    ("llen", lists::llen),
    ("lmove", lists::lmove),
    ("lmpop", lists::lmpop),
    ("lpop", lists::lpop),
    ("lpos", lists::lpos),
    ("lpush", lists::lpush),
    ("lpushx", lists::lpushx),
    ("lrange", lists::lrange),
    ("lrem", lists::lrem),
    ("lset", lists::lset),
    ("ltrim", lists::ltrim),
    ("mget", strings::mget),
    ("move", keys::move_key),
    ("mset", strings::mset),
    ("msetex", strings::msetex),
    ("msetnx", strings::msetnx),
    ("persist", expiry::persist),
    ("pexpire", expiry::pexpire),
    ("pexpireat", expiry::pexpireat),
    ("pexpiretime", expiry::pexpiretime),
    ("ping", server::ping),
    ("psetex", strings::psetex),
    ("pttl", expiry::pttl),
    ("randomkey", keys::randomkey),
    ("rename", keys::rename),
    ("renamenx", keys::renamenx),
    ("restore", dump::restore),
    ("rpop", lists::rpop),
    ("rpoplpush", lists::rpoplpush),
    ("rpush", lists::rpush),
    ("rpushx", lists::rpushx),
    ("sadd", sets::sadd),
    ("scan", scan::scan),
    ("scard", sets::scard),
    ("sdiff", sets::sdiff),
    ("sdiffstore", sets::sdiffstore),
    ("select", server::select),
    ("set", strings::set),
    ("setex", strings::setex),
    ("setnx", strings::setnx),
    ("setrange", strings::setrange),
    ("sinter", sets::sinter),
    ("sintercard", sets::sintercard),
    ("sinterstore", sets::sinterstore),
    ("sismember", sets::sismember),
    ("smembers", sets::smembers),
    ("smismember", sets::smismember),
    ("smove", sets::smove),
    ("spop", sets::spop),
    ("srandmember", sets::srandmember),
    ("srem", sets::srem),
    ("sscan", scan::sscan),
    ("strlen", strings::strlen),
    ("substr", strings::getrange),
    ("sunion", sets::sunion),
    ("sunionstore", sets::sunionstore),
    ("swapdb", server::swapdb),
    ("time", server::time),
    ("touch", keys::exists),
    ("ttl", expiry::ttl),
    ("type", keys::type_of),
    ("unlink", keys::del),
    ("zadd", sorted_sets::zadd),
    ("zcard", sorted_sets::zcard),
    ("zcount", sorted_set_ranges::zcount),
    ("zdiff", sorted_set_combine::zdiff),
    ("zdiffstore", sorted_set_combine::zdiffstore),
    ("zincrby", sorted_sets::zincrby),
    ("zinter", sorted_set_combine::zinter),
    ("zintercard", sorted_set_combine::zintercard),
    ("zinterstore", sorted_set_combine::zinterstore),
    ("zlexcount", sorted_set_ranges::zlexcount),
    ("zmpop", sorted_sets::zmpop),
    ("zmscore", sorted_sets::zmscore),
    ("zpopmax", sorted_sets::zpopmax),
    ("zpopmin", sorted_sets::zpopmin),
    ("zrandmember", sorted_sets::zrandmember),
    ("zrange", sorted_set_ranges::zrange),
    ("zrangebylex", sorted_set_ranges::zrangebylex),
    ("zrangebyscore", sorted_set_ranges::zrangebyscore),
    ("zrangestore", sorted_set_ranges::zrangestore),
    ("zrank", sorted_sets::zrank),
    ("zrem", sorted_sets::zrem),
    ("zremrangebylex", sorted_set_ranges::zremrangebylex),
    ("zremrangebyrank", sorted_set_ranges::zremrangebyrank),
    ("zremrangebyscore", sorted_set_ranges::zremrangebyscore),
    ("zrevrange", sorted_set_ranges::zrevrange),
    ("zrevrangebylex", sorted_set_ranges::zrevrangebylex),
    ("zrevrangebyscore", sorted_set_ranges::zrevrangebyscore),
    ("zrevrank", sorted_sets::zrevrank),
    ("zscan", scan::zscan),
    ("zscore", sorted_sets::zscore),
    ("zunion", sorted_set_combine::zunion),
    ("zunionstore", sorted_set_combine::zunionstore),
];

/// Functions by number of the command.
static BY_ID: LazyLock<Box<[Option<Function>]>> = LazyLock::new(|| {
    let mut by_id = vec![None; COMMAND_COUNT];
    for (name, function) in FUNCTIONS {
        // A test sees to it that the catalogue has them all.
        if let Some(id) = keyward_commands::by_name(name) {
            by_id[id.index()] = Some(*function);
        }
    }
    by_id.into_boxed_slice()
});

pub(crate) fn function(id: CommandId) -> Option<Function> {
    BY_ID.get(id.index()).copied().flatten()
}

/// Can the embedded engine do this command?
pub fn supports(command: CommandId) -> bool {
    function(command).is_some()
}

/// The names of all commands that the embedded engine can do, in alphabetical order.
pub fn supported() -> impl Iterator<Item = &'static str> {
    FUNCTIONS.iter().map(|(name, _)| *name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_function_has_a_command_and_the_list_is_sorted() {
        for (name, _) in FUNCTIONS {
            let id = keyward_commands::by_name(name);
            assert!(id.is_some_and(supports), "{name}");
        }
        assert!(FUNCTIONS.is_sorted_by(|left, right| left.0 < right.0));
    }
}
