//! One question to several servers: the first that knows an answer counts, and one that is dead
//! costs little.

use std::net::SocketAddr;
use std::time::Duration;

use futures::StreamExt;
use futures::stream::FuturesUnordered;
use hickory_proto::op::{Message, Query, ResponseCode};
use tokio::time::{Instant, sleep_until};

use super::wire::{Reply, ask_tcp, ask_udp};
use crate::net::failure::NetError;

/// The pace for a caller that has time.
const PACE: Duration = Duration::from_secs(1);

const SHORTEST_PACE: Duration = Duration::from_millis(50);

/// How long a server is waited for before the next one is asked beside it, and the datagram sent
/// again.
pub(in crate::net) fn pace(deadline: Instant) -> Duration {
    (deadline.saturating_duration_since(Instant::now()) / 8).clamp(SHORTEST_PACE, PACE)
}

/// Asks one server after the other, and goes on waiting for those before. An answer that has the
/// name, or that there is no such name, ends it; a refusal (`SERVFAIL`, `REFUSED` …) is the answer if
/// no server has a better one. Waits for a server that is silent for as long as the caller does.
pub(in crate::net) async fn ask(
    servers: &[SocketAddr],
    question: &Query,
    pace: Duration,
) -> Result<(SocketAddr, Message), NetError> {
    let mut waiting = servers.iter().copied();
    let mut asking = FuturesUnordered::new();
    let mut refusal: Option<(SocketAddr, Message)> = None;
    let mut fault = None;
    // What else may come is waited for this long, once there is a refusal.
    let mut patience = Instant::now();
    loop {
        if let Some(server) = waiting.next() {
            asking.push(async move { (server, ask_one(server, question, pace).await) });
        }
        if asking.is_empty() {
            let none = || NetError::Dns("there is no name server to ask".to_owned());
            return refusal.ok_or_else(|| fault.unwrap_or_else(none));
        }
        let next = Instant::now() + pace;
        let answer = tokio::select! {
            biased;
            Some(answer) = asking.next() => answer,
            () = sleep_until(next), if waiting.len() > 0 => continue,
            () = sleep_until(patience), if refusal.is_some() && waiting.len() == 0 => {
                return refusal.ok_or_else(|| NetError::Dns("no answer".to_owned()));
            }
        };
        match answer {
            (server, Ok(message)) if is_final(&message) => return Ok((server, message)),
            (server, Ok(message)) => {
                refusal.get_or_insert((server, message));
                patience = Instant::now() + 2 * pace;
            }
            (_, Err(error)) => fault = Some(error),
        }
    }
}

/// True if no other server would have a better answer. One that neither has the name nor asks others
/// (a lame delegation) decides nothing.
fn is_final(message: &Message) -> bool {
    let head = &message.metadata;
    match head.response_code {
        ResponseCode::NoError => {
            !message.answers.is_empty() || head.authoritative || head.recursion_available
        }
        code => code == ResponseCode::NXDomain,
    }
}

/// Asks one server; without EDNS if the server does not know it (RFC 6891, 7), by TCP if the answer
/// does not fit a datagram.
async fn ask_one(
    server: SocketAddr,
    question: &Query,
    pace: Duration,
) -> Result<Message, NetError> {
    let message = ask_whole(server, question, true, pace).await?;
    match message.metadata.response_code {
        ResponseCode::FormErr | ResponseCode::NotImp | ResponseCode::BADVERS => {
            ask_whole(server, question, false, pace).await
        }
        _ => Ok(message),
    }
}

async fn ask_whole(
    server: SocketAddr,
    question: &Query,
    edns: bool,
    pace: Duration,
) -> Result<Message, NetError> {
    match ask_udp(server, question, edns, pace).await? {
        Reply::Whole(message) => Ok(message),
        Reply::CutOff => ask_tcp(server, question, edns).await,
    }
}
