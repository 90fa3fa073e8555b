//! Answers of name servers: one that is made up, with the number of the question so that it is
//! looked at, then a true one.

use std::net::SocketAddr;
use std::sync::{Mutex, OnceLock, PoisonError};

use extrack::net::DnsQuery;
use tokio::net::UdpSocket;

use super::split;
use crate::stage::{deadline, loopback, net, wait_for};

static ANSWER: Mutex<Vec<u8>> = Mutex::new(Vec::new());

const TYPES: [&str; 8] = ["A", "AAAA", "TXT", "MX", "SRV", "CAA", "NS", "SOA"];

/// Bytes of the header.
const HEADER: usize = 12;

pub(crate) fn answers(input: &[u8]) {
    let (record_type, answer) = split(input, &TYPES);
    *ANSWER.lock().unwrap_or_else(PoisonError::into_inner) = answer.to_vec();
    let server = Some(server().to_string());
    let record_type = (*record_type).to_owned();
    let query = DnsQuery {
        name: "a.example".to_owned(),
        record_type,
        server,
        deadline: deadline(),
    };
    if let Ok(answer) = wait_for(net().dns_query(&loopback(), query)) {
        for record in answer.answers {
            assert!(!record.data.contains(['\n', '\r', '\0']), "{record:?}");
        }
    }
}

fn server() -> SocketAddr {
    static ADDRESS: OnceLock<SocketAddr> = OnceLock::new();
    *ADDRESS.get_or_init(|| {
        wait_for(async {
            let socket = UdpSocket::bind("127.0.0.1:0")
                .await
                .expect("loopback has a free port");
            let address = socket.local_addr().expect("it is bound");
            tokio::spawn(async move {
                let mut question = [0; 4_096];
                while let Ok((length, from)) = socket.recv_from(&mut question).await {
                    let question = &question[..length];
                    let _ = socket.send_to(&made_up(question), from).await;
                    let _ = socket.send_to(&nothing(question), from).await;
                }
            });
            address
        })
    })
}

/// The input's bytes behind the question that was asked, with the input's own counts.
fn made_up(question: &[u8]) -> Vec<u8> {
    let input = ANSWER
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .clone();
    let Some((counts, records)) = input.split_at_checked(6) else {
        return input;
    };
    let asked = question_of(question);
    // Its number, an answer without an error, one question.
    let mut bytes = vec![question[0], question[1], 0x81, 0x80, 0, 1];
    bytes.extend_from_slice(counts);
    bytes.extend_from_slice(asked);
    bytes.extend_from_slice(records);
    bytes
}

/// Has no record.
fn nothing(question: &[u8]) -> Vec<u8> {
    let mut bytes = vec![question[0], question[1], 0x81, 0x80, 0, 1, 0, 0, 0, 0, 0, 0];
    bytes.extend_from_slice(question_of(question));
    bytes
}

/// The question itself: a name, a type and a class.
fn question_of(message: &[u8]) -> &[u8] {
    let mut end = HEADER;
    while message.get(end).is_some_and(|length| *length > 0) {
        end += usize::from(message[end]) + 1;
    }
    message.get(HEADER..end + 5).unwrap_or_default()
}
