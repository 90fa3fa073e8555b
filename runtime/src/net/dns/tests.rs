use std::net::Ipv4Addr;
use std::time::Duration;

use hickory_proto::op::{Message, MessageType, OpCode, ResponseCode};
use hickory_proto::rr::rdata::{A, CNAME, MX, TXT};
use hickory_proto::rr::{RData, Record};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UdpSocket;

use super::*;
use crate::domain::ErrorKind;
use crate::net::NetSettings;
use crate::net::testing::{name_server, net, permission, plain_net, shortly, soon};

/// Answers of the test server.
fn answer(question: &Message) -> Message {
    let mut message = Message::response(question.metadata.id, OpCode::Query);
    let query = question.queries[0].clone();
    let data: Vec<RData> = match (query.name.to_string().as_str(), query.query_type) {
        ("a.example.", RecordType::A) => {
            vec![
                RData::CNAME(CNAME(Name::from_ascii("b.example.").unwrap())),
                RData::A(A(Ipv4Addr::new(192, 0, 2, 1))),
            ]
        }
        ("a.example.", RecordType::MX) => vec![RData::MX(MX::new(
            10,
            Name::from_ascii("mx.example.").unwrap(),
        ))],
        ("a.example.", RecordType::TXT) => {
            vec![RData::TXT(TXT::from_bytes(vec![
                &b"v=spf1 \"x\""[..],
                b"\xff\n",
            ]))]
        }
        ("1.2.0.192.in-addr.arpa.", RecordType::PTR) => {
            vec![RData::PTR(hickory_proto::rr::rdata::PTR(
                Name::from_ascii("a.example.").unwrap(),
            ))]
        }
        _ => Vec::new(),
    };
    if data.is_empty() {
        message.metadata.response_code = ResponseCode::NXDomain;
    }
    message.add_answers(
        data.into_iter()
            .map(|data| Record::from_rdata(query.name.clone(), 300, data)),
    );
    message.add_query(query);
    message
}

/// Servers on this machine, and every name the tests ask for.
fn allowed() -> Permission {
    permission(&["127.0.0.1", "example", "192.0.2.1"], true)
}

async fn honest_server() -> SocketAddr {
    name_server(|question| vec![answer(&question).to_vec().unwrap()])
        .await
        .0
}

fn query(name: &str, record_type: &str, server: Option<String>) -> DnsQuery {
    DnsQuery {
        name: name.to_owned(),
        record_type: record_type.to_owned(),
        server,
        deadline: soon(),
    }
}

#[tokio::test]
async fn answers_in_presentation_form() {
    let server = honest_server().await;
    for (name, record_type, rcode, wanted) in [
        (
            "a.example",
            "a",
            "NOERROR",
            &[("CNAME", "b.example."), ("A", "192.0.2.1")][..],
        ),
        ("A.Example.", "MX", "NOERROR", &[("MX", "10 mx.example.")]),
        (
            "a.example",
            "TXT",
            "NOERROR",
            &[("TXT", r#""v=spf1 \"x\"" "\255\010""#)],
        ),
        ("192.0.2.1", "PTR", "NOERROR", &[("PTR", "a.example.")]),
        ("nothing.example", "AAAA", "NXDOMAIN", &[]),
        ("_sip._tcp.example", "SRV", "NXDOMAIN", &[]),
    ] {
        let found = plain_net()
            .dns_query(
                &allowed(),
                query(name, record_type, Some(server.to_string())),
            )
            .await
            .unwrap();
        assert_eq!(
            (found.rcode.as_str(), found.server),
            (rcode, server),
            "{name} {record_type}"
        );
        let records: Vec<(&str, &str)> = found
            .answers
            .iter()
            .map(|record| (record.record_type.as_str(), record.data.as_str()))
            .collect();
        assert_eq!(records, wanted, "{name} {record_type}");
        assert!(
            found
                .answers
                .iter()
                .all(|record| record.ttl == 300 && record.name.ends_with('.'))
        );
    }
}

#[tokio::test]
async fn forged_and_broken_answers_are_passed_over() {
    let (server, _listener) = name_server(|question| {
        let good = answer(&question);
        let mut other_id = good.clone();
        other_id.metadata.id = good.metadata.id.wrapping_add(1);
        let mut other_question = good.clone();
        other_question.queries = vec![Query::query(
            Name::from_ascii("evil.example.").unwrap(),
            RecordType::A,
        )];
        let mut no_response = good.clone();
        no_response.metadata.message_type = MessageType::Query;
        let forged = [other_id, other_question, no_response].map(|mut message| {
            message.metadata.response_code = ResponseCode::Refused;
            message.to_vec().unwrap()
        });
        [
            vec![b"noise".to_vec()],
            forged.to_vec(),
            vec![good.to_vec().unwrap()],
        ]
        .concat()
    })
    .await;
    let found = plain_net()
        .dns_query(
            &allowed(),
            query("a.example", "A", Some(server.to_string())),
        )
        .await
        .unwrap();
    assert_eq!((found.rcode.as_str(), found.answers.len()), ("NOERROR", 2));
}

#[tokio::test]
async fn a_truncated_answer_is_fetched_by_tcp() {
    let (server, listener) = name_server(|question| {
        let mut message = Message::response(question.metadata.id, OpCode::Query);
        message.add_query(question.queries[0].clone());
        message.metadata.truncation = true;
        vec![message.to_vec().unwrap()]
    })
    .await;
    tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut question = vec![0; usize::from(stream.read_u16().await.unwrap())];
        stream.read_exact(&mut question).await.unwrap();
        let bytes = answer(&Message::from_vec(&question).unwrap())
            .to_vec()
            .unwrap();
        stream.write_u16(bytes.len() as u16).await.unwrap();
        stream.write_all(&bytes).await.unwrap();
    });
    let found = plain_net()
        .dns_query(
            &allowed(),
            query("a.example", "A", Some(server.to_string())),
        )
        .await
        .unwrap();
    assert_eq!(found.answers.len(), 2);
}

#[tokio::test]
async fn the_operators_servers_need_no_permission_but_names_do() {
    let closed = UdpSocket::bind("127.0.0.1:0")
        .await
        .unwrap()
        .local_addr()
        .unwrap();
    let live = honest_server().await;
    let net = net(
        NetSettings {
            nameservers: vec![closed, live],
            ..NetSettings::default()
        },
        None,
    );
    let found = net
        .dns_query(
            &permission(&["a.example"], false),
            query("a.example", "A", None),
        )
        .await
        .unwrap();
    assert_eq!((found.server, found.answers.len()), (live, 2));
    let denied = net
        .dns_query(
            &permission(&["b.example"], false),
            query("a.example", "A", None),
        )
        .await
        .unwrap_err();
    assert_eq!(denied.error.kind(), ErrorKind::Denied);
    // A server that may be reached is asked for anything: the name goes to it, and it may be sent
    // anything anyway.
    let server_alone = permission(&["127.0.0.1"], true);
    let found = net
        .dns_query(
            &server_alone,
            query("a.example", "A", Some(live.to_string())),
        )
        .await
        .unwrap();
    assert_eq!(found.answers.len(), 2);
}

#[tokio::test]
async fn each_failure_has_its_kind() {
    let closed = UdpSocket::bind("127.0.0.1:0")
        .await
        .unwrap()
        .local_addr()
        .unwrap();
    let silent = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let silent_address = silent.local_addr().unwrap();
    let live = honest_server().await;
    let elsewhere = permission(&["ns.example", "a.example"], true);
    let no_private = permission(&["127.0.0.1", "a.example"], false);
    for (permission, name, record_type, server, kind) in [
        (&allowed(), "a.example", "A", closed, ErrorKind::Connect),
        (
            &allowed(),
            "a.example",
            "A",
            silent_address,
            ErrorKind::Timeout,
        ),
        (&elsewhere, "a.example", "A", live, ErrorKind::Denied),
        (&no_private, "a.example", "A", live, ErrorKind::Denied),
        (&allowed(), "a.example", "ANY", live, ErrorKind::Protocol),
        (&allowed(), "a..example", "A", live, ErrorKind::Protocol),
    ] {
        let query = DnsQuery {
            deadline: shortly(),
            ..query(name, record_type, Some(server.to_string()))
        };
        let started = Instant::now();
        let failure = plain_net().dns_query(permission, query).await.unwrap_err();
        assert_eq!(failure.error.kind(), kind, "{failure}");
        assert!(started.elapsed() < Duration::from_secs(5));
    }
}

/// The answer with another code, and nothing in it.
fn refusal(question: &Message, code: ResponseCode) -> Vec<u8> {
    let mut message = Message::response(question.metadata.id, OpCode::Query);
    message.add_query(question.queries[0].clone());
    message.metadata.response_code = code;
    message.to_vec().unwrap()
}

#[tokio::test]
async fn a_server_that_fails_or_refuses_is_no_answer_while_another_knows_one() {
    for code in [
        ResponseCode::ServFail,
        ResponseCode::Refused,
        ResponseCode::NotImp,
        ResponseCode::FormErr,
    ] {
        let (broken, _listener) = name_server(move |question| vec![refusal(&question, code)]).await;
        let live = honest_server().await;
        let both = net(
            NetSettings {
                nameservers: vec![broken, live],
                ..NetSettings::default()
            },
            None,
        );
        let found = both
            .dns_query(&allowed(), query("a.example", "A", None))
            .await
            .unwrap();
        assert_eq!(
            (found.rcode.as_str(), found.server),
            ("NOERROR", live),
            "{code}"
        );

        let found = plain_net()
            .dns_query(
                &allowed(),
                query("a.example", "A", Some(broken.to_string())),
            )
            .await
            .unwrap();
        assert_eq!(
            (found.rcode, found.server),
            (rcode_text(code), broken),
            "alone, that is what it says"
        );

        let silent = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let servers = vec![broken, silent.local_addr().unwrap()];
        let with_silent = net(
            NetSettings {
                nameservers: servers,
                ..NetSettings::default()
            },
            None,
        );
        let found = with_silent
            .dns_query(&allowed(), query("a.example", "A", None))
            .await
            .unwrap();
        assert_eq!(
            found.server, broken,
            "{code}: a server that is silent does not take it away"
        );
    }
}

#[tokio::test]
async fn a_server_that_is_silent_delays_and_does_not_hide_the_next() {
    let silent = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let live = honest_server().await;
    let servers = vec![silent.local_addr().unwrap(), live];
    let net = net(
        NetSettings {
            nameservers: servers,
            ..NetSettings::default()
        },
        None,
    );
    let found = net
        .dns_query(&allowed(), query("a.example", "A", None))
        .await
        .unwrap();
    assert_eq!(found.server, live);
}

#[tokio::test]
async fn a_datagram_that_is_lost_is_sent_again() {
    let mut seen = 0;
    let (server, _listener) = name_server(move |question| {
        seen += 1;
        if seen < 3 {
            Vec::new()
        } else {
            vec![answer(&question).to_vec().unwrap()]
        }
    })
    .await;
    let found = plain_net()
        .dns_query(
            &allowed(),
            query("a.example", "A", Some(server.to_string())),
        )
        .await
        .unwrap();
    assert_eq!(found.answers.len(), 2);
}

#[tokio::test]
async fn a_server_that_does_not_know_edns_is_asked_without() {
    for code in [ResponseCode::FormErr, ResponseCode::NotImp] {
        let (server, _listener) = name_server(move |question| match question.edns {
            Some(_) => vec![refusal(&question, code)],
            None => vec![answer(&question).to_vec().unwrap()],
        })
        .await;
        let found = plain_net()
            .dns_query(
                &allowed(),
                query("a.example", "A", Some(server.to_string())),
            )
            .await
            .unwrap();
        assert_eq!(
            (found.rcode.as_str(), found.answers.len()),
            ("NOERROR", 2),
            "{code}"
        );
    }
}

#[tokio::test]
async fn an_answer_that_does_not_fit_and_a_closed_tcp_port_lead_to_the_next_server() {
    for cut_inside_a_record in [false, true] {
        let (broken, listener) = name_server(move |question| {
            let mut message = answer(&question);
            message.metadata.truncation = true;
            let mut bytes = message.to_vec().unwrap();
            if cut_inside_a_record {
                bytes.truncate(bytes.len() - 3);
            }
            vec![bytes]
        })
        .await;
        drop(listener);
        let live = honest_server().await;
        let both = net(
            NetSettings {
                nameservers: vec![broken, live],
                ..NetSettings::default()
            },
            None,
        );
        let found = both
            .dns_query(&allowed(), query("a.example", "A", None))
            .await
            .unwrap();
        assert_eq!((found.server, found.answers.len()), (live, 2));

        let query = query("a.example", "A", Some(broken.to_string()));
        let failure = plain_net().dns_query(&allowed(), query).await.unwrap_err();
        assert_eq!(failure.error.kind(), ErrorKind::Connect);
        assert!(failure.to_string().contains("by TCP"), "{failure}");
    }
}
