use std::net::Ipv4Addr;

use hickory_proto::op::{MessageType, OpCode, ResponseCode};
use hickory_proto::rr::rdata::{A, CNAME, MX, TXT};
use hickory_proto::rr::{RData, Record};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, UdpSocket};

use super::*;
use crate::domain::ErrorKind;
use crate::net::NetSettings;
use crate::net::testing::{loopback, net, permission, plain_net, shortly, soon};

/// What the little server knows.
fn answer(question: &Message) -> Message {
    let mut message = Message::response(question.metadata.id, OpCode::Query);
    let query = question.queries[0].clone();
    let data: Vec<RData> = match (query.name.to_string().as_str(), query.query_type) {
        ("a.example.", RecordType::A) => {
            vec![RData::CNAME(CNAME(Name::from_ascii("b.example.").unwrap())), RData::A(A(Ipv4Addr::new(192, 0, 2, 1)))]
        }
        ("a.example.", RecordType::MX) => vec![RData::MX(MX::new(10, Name::from_ascii("mx.example.").unwrap()))],
        ("a.example.", RecordType::TXT) => {
            vec![RData::TXT(TXT::from_bytes(vec![&b"v=spf1 \"x\""[..], b"\xff\n"]))]
        }
        ("1.2.0.192.in-addr.arpa.", RecordType::PTR) => {
            vec![RData::PTR(hickory_proto::rr::rdata::PTR(Name::from_ascii("a.example.").unwrap()))]
        }
        _ => Vec::new(),
    };
    if data.is_empty() {
        message.metadata.response_code = ResponseCode::NXDomain;
    }
    message.add_answers(data.into_iter().map(|data| Record::from_rdata(query.name.clone(), 300, data)));
    message.add_query(query);
    message
}

/// Answers by UDP what `reply` makes of each question.
async fn udp_server(reply: impl Fn(Message) -> Vec<Vec<u8>> + Send + 'static) -> (SocketAddr, TcpListener) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let socket = UdpSocket::bind(address).await.unwrap();
    tokio::spawn(async move {
        let mut buffer = [0; 4096];
        while let Ok((length, from)) = socket.recv_from(&mut buffer).await {
            for bytes in reply(Message::from_vec(&buffer[..length]).unwrap()) {
                let _ = socket.send_to(&bytes, from).await;
            }
        }
    });
    (address, listener)
}

async fn honest_server() -> SocketAddr {
    udp_server(|question| vec![answer(&question).to_vec().unwrap()]).await.0
}

fn query(name: &str, record_type: &str, server: Option<String>) -> DnsQuery {
    DnsQuery { name: name.to_owned(), record_type: record_type.to_owned(), server, deadline: soon() }
}

#[tokio::test]
async fn answers_in_presentation_form() {
    let server = honest_server().await;
    for (name, record_type, rcode, wanted) in [
        ("a.example", "a", "NOERROR", &[("CNAME", "b.example."), ("A", "192.0.2.1")][..]),
        ("A.Example.", "MX", "NOERROR", &[("MX", "10 mx.example.")]),
        ("a.example", "TXT", "NOERROR", &[("TXT", r#""v=spf1 \"x\"" "\255\010""#)]),
        ("192.0.2.1", "PTR", "NOERROR", &[("PTR", "a.example.")]),
        ("nothing.example", "AAAA", "NXDOMAIN", &[]),
        ("_sip._tcp.example", "SRV", "NXDOMAIN", &[]),
    ] {
        let found =
            plain_net().dns_query(&loopback(), query(name, record_type, Some(server.to_string()))).await.unwrap();
        assert_eq!((found.rcode.as_str(), found.server), (rcode, server), "{name} {record_type}");
        let records: Vec<(&str, &str)> =
            found.answers.iter().map(|record| (record.record_type.as_str(), record.data.as_str())).collect();
        assert_eq!(records, wanted, "{name} {record_type}");
        assert!(found.answers.iter().all(|record| record.ttl == 300 && record.name.ends_with('.')));
    }
}

#[tokio::test]
async fn forged_and_broken_answers_are_passed_over() {
    let (server, _listener) = udp_server(|question| {
        let good = answer(&question);
        let mut other_id = good.clone();
        other_id.metadata.id = good.metadata.id.wrapping_add(1);
        let mut other_question = good.clone();
        other_question.queries = vec![Query::query(Name::from_ascii("evil.example.").unwrap(), RecordType::A)];
        let mut no_response = good.clone();
        no_response.metadata.message_type = MessageType::Query;
        let forged = [other_id, other_question, no_response].map(|mut message| {
            message.metadata.response_code = ResponseCode::Refused;
            message.to_vec().unwrap()
        });
        [vec![b"noise".to_vec()], forged.to_vec(), vec![good.to_vec().unwrap()]].concat()
    })
    .await;
    let found = plain_net().dns_query(&loopback(), query("a.example", "A", Some(server.to_string()))).await.unwrap();
    assert_eq!((found.rcode.as_str(), found.answers.len()), ("NOERROR", 2));
}

#[tokio::test]
async fn a_truncated_answer_is_fetched_by_tcp() {
    let (server, listener) = udp_server(|question| {
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
        let bytes = answer(&Message::from_vec(&question).unwrap()).to_vec().unwrap();
        stream.write_u16(bytes.len() as u16).await.unwrap();
        stream.write_all(&bytes).await.unwrap();
    });
    let found = plain_net().dns_query(&loopback(), query("a.example", "A", Some(server.to_string()))).await.unwrap();
    assert_eq!(found.answers.len(), 2);
}

#[tokio::test]
async fn the_operators_servers_need_no_permission_and_stand_in_for_each_other() {
    let closed = UdpSocket::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let live = honest_server().await;
    let net = net(NetSettings { nameservers: vec![closed, live], ..NetSettings::default() }, None);
    let found = net.dns_query(&permission(&[], false), query("a.example", "A", None)).await.unwrap();
    assert_eq!((found.server, found.answers.len()), (live, 2));
}

#[tokio::test]
async fn each_failure_has_its_kind() {
    let closed = UdpSocket::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let silent = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let silent_address = silent.local_addr().unwrap();
    let live = honest_server().await;
    let elsewhere = permission(&["ns.example"], true);
    let no_private = permission(&["127.0.0.1"], false);
    for (permission, name, record_type, server, kind) in [
        (&loopback(), "a.example", "A", closed, ErrorKind::Connect),
        (&loopback(), "a.example", "A", silent_address, ErrorKind::Timeout),
        (&elsewhere, "a.example", "A", live, ErrorKind::Denied),
        (&no_private, "a.example", "A", live, ErrorKind::Denied),
        (&loopback(), "a.example", "ANY", live, ErrorKind::Protocol),
        (&loopback(), "a..example", "A", live, ErrorKind::Protocol),
    ] {
        let query = DnsQuery { deadline: shortly(), ..query(name, record_type, Some(server.to_string())) };
        let started = Instant::now();
        let failure = plain_net().dns_query(permission, query).await.unwrap_err();
        assert_eq!(failure.error.kind(), kind, "{failure}");
        assert!(started.elapsed() < Duration::from_secs(5));
    }
}
