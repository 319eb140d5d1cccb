use proptest::prelude::*;

use super::*;

/// What a client's request is answered with, or what comes between two replies.
#[derive(Clone, Debug)]
enum Step {
    Forward(Vec<u8>),
    Drop(Vec<u8>),
    Local(Vec<u8>),
    Marked(Vec<u8>, bool),
    Push(Vec<u8>),
    Filtered(Vec<u8>),
}

fn reply() -> impl Strategy<Value = Vec<u8>> {
    let leaf = prop_oneof![
        Just(b"+OK\r\n".to_vec()),
        Just(b"-ERR no\r\n".to_vec()),
        Just(b":12\r\n".to_vec()),
        Just(b"$-1\r\n".to_vec()),
        Just(b"_\r\n".to_vec()),
        proptest::collection::vec(any::<u8>(), 0..40).prop_map(|bytes| bulk(&bytes)),
    ];
    leaf.prop_recursive(3, 12, 4, |inner| {
        proptest::collection::vec(inner, 0..4).prop_map(|values| {
            let mut out = format!("*{}\r\n", values.len()).into_bytes();
            values.iter().for_each(|value| out.extend_from_slice(value));
            out
        })
    })
}

fn bulk(bytes: &[u8]) -> Vec<u8> {
    let mut out = format!("${}\r\n", bytes.len()).into_bytes();
    out.extend_from_slice(bytes);
    out.extend_from_slice(b"\r\n");
    out
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => reply().prop_map(Step::Forward),
        1 => reply().prop_map(Step::Drop),
        2 => proptest::collection::vec(any::<u8>(), 1..30).prop_map(Step::Local),
        1 => (reply(), any::<bool>()).prop_map(|(reply, forward)| Step::Marked(reply, forward)),
        1 => proptest::collection::vec(any::<u8>(), 0..30).prop_map(|payload| {
            let mut push = b">2\r\n$7\r\nmessage\r\n".to_vec();
            push.extend_from_slice(&bulk(&payload));
            Step::Push(push)
        }),
        1 => reply().prop_map(Step::Filtered),
    ]
}

fn changed(_: &[u8], out: &mut Vec<u8>) {
    out.extend_from_slice(b"+changed\r\n");
}

/// Feeds `input` in pieces, keeping what is left over like the connection does.
fn feed(queue: &mut ReplyQueue, input: &[u8], cuts: &[usize], out: &mut Vec<u8>) -> usize {
    let (mut kept, mut marks) = (Vec::new(), 0);
    let mut rest = input;
    let mut cuts = cuts.iter().copied().chain(std::iter::repeat(1));
    while !rest.is_empty() {
        let take = cuts.next().unwrap_or(1).clamp(1, rest.len());
        kept.extend_from_slice(&rest[..take]);
        rest = &rest[take..];
        loop {
            let advance = queue.advance(&kept, out).unwrap();
            kept.drain(..advance.consumed);
            match advance.marked {
                Some(_) => marks += 1,
                None => break,
            }
        }
    }
    assert!(kept.is_empty());
    marks
}

proptest! {
    /// Whatever is asked, however the upstream's bytes are cut: each request gets its own reply.
    #[test]
    fn replies_keep_the_order_of_requests(
        steps in proptest::collection::vec(step(), 0..20),
        cuts in proptest::collection::vec(1usize..30, 0..40),
    ) {
        let mut queue = ReplyQueue::default();
        let (mut out, mut upstream, mut expected, mut marks) = (vec![], vec![], vec![], 0);
        for step in &steps {
            match step {
                Step::Forward(reply) => {
                    queue.forward();
                    upstream.extend_from_slice(reply);
                    expected.extend_from_slice(reply);
                }
                Step::Drop(reply) => {
                    queue.drop_one();
                    upstream.extend_from_slice(reply);
                }
                Step::Local(bytes) => {
                    queue.local(&mut out, |out| out.extend_from_slice(bytes));
                    expected.extend_from_slice(bytes);
                }
                Step::Marked(reply, forward) => {
                    queue.marked(Mark::Blocking, *forward);
                    upstream.extend_from_slice(reply);
                    marks += 1;
                    if *forward {
                        expected.extend_from_slice(reply);
                    }
                }
                // A push that comes after the replies before it, and so behind our own replies
                // that wait for nothing else.
                Step::Push(push) => {
                    upstream.extend_from_slice(push);
                    expected.extend_from_slice(push);
                    // Otherwise our replies would be at once where the push is not yet.
                    queue.forward();
                    upstream.extend_from_slice(b":0\r\n");
                    expected.extend_from_slice(b":0\r\n");
                }
                Step::Filtered(reply) => {
                    queue.filtered(changed);
                    upstream.extend_from_slice(reply);
                    expected.extend_from_slice(b"+changed\r\n");
                }
            }
        }
        let found = feed(&mut queue, &upstream, &cuts, &mut out);
        prop_assert_eq!(out, expected);
        prop_assert_eq!(found, marks);
        prop_assert!(queue.is_idle());
    }

    /// Hostile bytes never panic, and what is accepted is never more than there was.
    #[test]
    fn any_bytes_are_survived(bytes in proptest::collection::vec(any::<u8>(), 0..200), requests in 0..9) {
        let mut queue = ReplyQueue::default();
        (0..requests).for_each(|_| queue.forward());
        let mut out = Vec::new();
        if let Ok(advance) = queue.advance(&bytes, &mut out) {
            prop_assert!(advance.consumed <= bytes.len());
        }
    }
}

#[test]
fn a_reply_nobody_waits_for_is_an_error() {
    let mut queue = ReplyQueue::default();
    let error = queue.advance(b"+OK\r\n", &mut Vec::new()).unwrap_err();
    assert_eq!(error, QueueError::Unexpected);
}

#[test]
fn our_reply_does_not_cut_a_push_in_two() {
    let mut queue = ReplyQueue::default();
    let mut out = Vec::new();
    queue.advance(b">2\r\n$7\r\nmessage\r\n", &mut out).unwrap();
    queue.local(&mut out, |out| out.extend_from_slice(b"-NOPERM\r\n"));
    queue.advance(b"$1\r\nx\r\n", &mut out).unwrap();
    assert_eq!(out, b">2\r\n$7\r\nmessage\r\n$1\r\nx\r\n-NOPERM\r\n");
    assert!(queue.is_idle());
}

#[test]
fn subscriptions_are_counted_by_confirmation_and_messages_are_no_replies() {
    for sign in ["*", ">"] {
        let array = |first: &str, last: &str| {
            format!(
                "{sign}3\r\n${}\r\n{first}\r\n$1\r\nc\r\n{last}\r\n",
                first.len()
            )
        };
        let mut queue = ReplyQueue::default();
        let mut out = Vec::new();
        queue.forward(); // GET
        queue.confirmations(2, true); // SUBSCRIBE a b
        queue.local(&mut out, |out| {
            out.extend_from_slice(b"-ERR subscribed\r\n")
        });
        queue.confirmations(2, false); // UNSUBSCRIBE
        queue.local(&mut out, |out| out.extend_from_slice(b"-NOPERM\r\n"));
        queue.forward(); // LRANGE, whose reply looks like a message
        let upstream = [
            "$1\r\nv\r\n".to_owned(),
            array("subscribe", ":1"),
            array("message", "$1\r\nm"),
            array("subscribe", ":2"),
            array("message", "$1\r\nm"),
            array("unsubscribe", ":1"),
            array("message", "$1\r\nm"),
            array("unsubscribe", ":0"),
            "*3\r\n$7\r\nmessage\r\n$1\r\nc\r\n$1\r\nm\r\n".to_owned(),
        ];
        for cut in 1..40 {
            let mut queue = std::mem::take(&mut queue);
            if cut > 1 {
                queue.forward();
                queue.confirmations(2, true);
                queue.local(&mut out, |out| {
                    out.extend_from_slice(b"-ERR subscribed\r\n")
                });
                queue.confirmations(2, false);
                queue.local(&mut out, |out| out.extend_from_slice(b"-NOPERM\r\n"));
                queue.forward();
            }
            let mut expected = upstream.to_vec();
            expected.insert(4, "-ERR subscribed\r\n".to_owned());
            expected.insert(9, "-NOPERM\r\n".to_owned());
            feed(
                &mut queue,
                upstream.concat().as_bytes(),
                &[cut; 500],
                &mut out,
            );
            assert_eq!(String::from_utf8_lossy(&out), expected.concat());
            assert!(queue.is_idle());
            out.clear();
        }
    }
}

#[test]
fn one_error_answers_a_whole_subscription() {
    let mut queue = ReplyQueue::default();
    let mut out = Vec::new();
    queue.confirmations(3, true);
    queue.forward();
    let advance = queue.advance(b"-NOPERM no\r\n+OK\r\n", &mut out).unwrap();
    assert_eq!(
        advance.marked,
        Some(Marked {
            mark: Mark::Subscribe,
            kind: b'-'
        })
    );
    let rest = queue.advance(b"+OK\r\n", &mut out).unwrap();
    assert_eq!((rest.consumed, rest.marked), (5, None));
    assert!(queue.is_idle());
}

#[test]
fn when_nothing_was_sent_every_request_gets_the_error() {
    let mut queue = ReplyQueue::default();
    let mut out = Vec::new();
    queue.marked(Mark::Greeting, false);
    queue.forward();
    queue.forward();
    queue.local(&mut out, |out| out.extend_from_slice(b":1\r\n"));
    queue.drop_one();
    queue.confirmations(3, true);
    queue.fail(b"-E\r\n", &mut out);
    assert_eq!(out, b"-E\r\n-E\r\n:1\r\n-E\r\n");
    assert!(queue.is_idle());
}

/// What deals with replies counts as waiting until they are there.
#[test]
fn sieves_count_as_waiting_bytes() {
    use crate::sieve::{Item, Listing, Sieve};
    let mut queue = ReplyQueue::default();
    for _ in 0..10 {
        let item = Item::new(Listing::Keys, 1, Box::new(|_| true));
        queue.sieved(Sieve::of_command(item, Protocol::Resp2, 100), None, 1000);
    }
    assert!(queue.waiting_bytes() > 10_000);
    let mut out = Vec::new();
    queue.advance(&b"*0\r\n".repeat(10), &mut out).unwrap();
    assert_eq!(out, b"*0\r\n".repeat(10));
    assert_eq!(queue.waiting_bytes(), 0);
}
