use std::sync::Mutex;

use futures::FutureExt;
use futures::future::join_all;
use hickory_proto::op::{Message, OpCode, ResponseCode};
use hickory_proto::rr::rdata::A;
use hickory_proto::rr::{RData, Record, RecordType};
use tempfile::TempDir;

use super::*;
use crate::domain::ErrorKind;
use crate::net::NetSettings;
use crate::net::testing::{name_server, net, permission, serve, soon};

/// Names that were asked for, with their type.
type Asked = Arc<Mutex<Vec<(String, RecordType)>>>;

/// Answers `address` for names that `knows`; is silent about those under `dead.example`.
async fn server(knows: &'static [&'static str], address: Ipv4Addr) -> (SocketAddr, Asked) {
    let asked = Asked::default();
    let seen = asked.clone();
    let mut ids = Vec::new();
    let (server, _listener) = name_server(move |question| {
        let query = question.queries[0].clone();
        let name = query.name.to_string().to_lowercase();
        // A datagram that is sent again is the same question.
        if !ids.contains(&question.metadata.id) {
            ids.push(question.metadata.id);
            seen.lock().unwrap().push((name.clone(), query.query_type));
        }
        if name.ends_with(".dead.example.") {
            return Vec::new();
        }
        let mut message = Message::response(question.metadata.id, OpCode::Query);
        message.metadata.recursion_available = true;
        let is_known = knows.iter().any(|known| {
            name == *known
                || known
                    .strip_prefix('*')
                    .is_some_and(|end| name.ends_with(end))
        });
        if !is_known {
            message.metadata.response_code = ResponseCode::NXDomain;
        } else if query.query_type == RecordType::A {
            message.add_answer(Record::from_rdata(
                query.name.clone(),
                0,
                RData::A(A(address)),
            ));
        }
        message.add_query(query);
        vec![message.to_vec().unwrap()]
    })
    .await;
    (server, asked)
}

/// A machine with these files in its `/etc`.
fn resolver(servers: Vec<SocketAddr>, resolv_conf: &str, hosts: &str) -> (Resolver, TempDir) {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("resolv.conf"), resolv_conf).unwrap();
    std::fs::write(folder.path().join("hosts"), hosts).unwrap();
    (
        Resolver::with_system(servers, System::of(folder.path())),
        folder,
    )
}

const VENDOR: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 1);

fn found(address: Ipv4Addr) -> Found {
    Found {
        addresses: vec![address.into()],
        is_answer: true,
    }
}

#[tokio::test]
async fn this_machine_and_its_hosts_file_need_no_server() {
    let nobody = vec![SocketAddr::from(([127, 0, 0, 1], 1))];
    let (resolver, _folder) = resolver(nobody, "", "10.0.0.5 db.internal DB\n");
    for (name, wanted) in [
        ("db.internal", &["10.0.0.5"][..]),
        ("Db.Internal.", &["10.0.0.5"]),
        ("db", &["10.0.0.5"]),
        ("localhost", &["127.0.0.1", "::1"]),
        ("shop.localhost", &["127.0.0.1", "::1"]),
    ] {
        let mut found = resolver.look_up(name, soon()).await.unwrap();
        assert!(!found.is_answer);
        found.addresses.sort();
        assert_eq!(
            found.addresses,
            wanted
                .iter()
                .map(|text| text.parse().unwrap())
                .collect::<Vec<IpAddr>>(),
            "{name}"
        );
    }
    let error = resolver.look_up("db.elsewhere", soon()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Dns, "{error}");
}

#[tokio::test]
async fn names_are_searched_as_a_container_expects() {
    let (server, asked) = server(&["db.shop.svc.", "api.vendor.example."], VENDOR).await;
    let conf = "search shop.svc svc\noptions ndots:5\n";
    let (resolver, _folder) = resolver(vec![server], conf, "");
    assert_eq!(resolver.look_up("db", soon()).await.unwrap(), found(VENDOR));
    assert_eq!(
        resolver
            .look_up("api.vendor.example.", soon())
            .await
            .unwrap(),
        found(VENDOR)
    );
    let asked: Vec<String> = asked
        .lock()
        .unwrap()
        .iter()
        .filter(|(_, kind)| *kind == RecordType::A)
        .map(|(name, _)| name.clone())
        .collect();
    let forms = [
        "api.vendor.example.shop.svc.",
        "api.vendor.example.svc.",
        "api.vendor.example.",
    ];
    assert_eq!(asked, [&["db.shop.svc."][..], &forms].concat());
}

#[tokio::test]
async fn a_name_without_an_address_says_why() {
    let (server, _asked) = server(&[], VENDOR).await;
    let (resolver, _folder) = resolver(vec![server], "search svc\n", "");
    let error = resolver.look_up("gone.example", soon()).await.unwrap_err();
    let wanted = "`gone.example` does not resolve: there is no such name (NXDOMAIN)";
    assert_eq!(error, NetError::Dns(wanted.to_owned()));
}

#[tokio::test]
async fn those_who_look_up_one_name_at_once_share_one_look_up_and_none_is_kept() {
    let (server, asked) = server(&["api.vendor.example."], VENDOR).await;
    let (resolver, _folder) = resolver(vec![server], "", "");
    for round in 1..=2 {
        let all = join_all((0..40).map(|_| resolver.look_up("api.vendor.example", soon()))).await;
        assert!(
            all.iter()
                .all(|one| one.as_ref().unwrap() == &found(VENDOR))
        );
        let questions = asked
            .lock()
            .unwrap()
            .iter()
            .filter(|(_, kind)| *kind == RecordType::A)
            .count();
        assert_eq!(questions, round, "one for each round");
        assert!(resolver.under_way().is_empty());
    }
}

#[tokio::test]
async fn a_look_up_ends_with_the_last_who_waits_for_it() {
    let (server, _asked) = server(&[], VENDOR).await;
    let (resolver, _folder) = resolver(vec![server], "", "");
    let free = || resolver.inner.permits.all.available_permits();
    let before = free();
    let mut one = Box::pin(resolver.look_up("api.dead.example", soon()));
    let mut other = Box::pin(resolver.look_up("api.dead.example", soon()));
    assert!((&mut one).now_or_never().is_none() && (&mut other).now_or_never().is_none());
    assert_eq!(free(), before - 1, "both share one");
    drop(one);
    assert!((&mut other).now_or_never().is_none());
    assert_eq!(resolver.under_way().len(), 1);
    drop(other);
    assert!(resolver.under_way().is_empty());
    assert_eq!(free(), before);
}

#[tokio::test]
async fn a_dead_zone_of_300_names_delays_none_of_300_others() {
    let (server, _asked) = server(&["*.live.example."], VENDOR).await;
    let (resolver, _folder) = resolver(vec![server], "", "");
    let dead: Vec<String> = (0..300)
        .map(|index| format!("p{index}.dead.example"))
        .collect();
    let mut dead: Vec<_> = dead
        .iter()
        .map(|name| Box::pin(resolver.look_up(name, soon())))
        .collect();
    assert!(
        dead.iter_mut()
            .all(|waiting| waiting.now_or_never().is_none())
    );
    let live: Vec<String> = (0..300)
        .map(|index| format!("p{index}.live.example"))
        .collect();
    for answer in join_all(live.iter().map(|name| resolver.look_up(name, soon()))).await {
        assert_eq!(answer.unwrap(), found(VENDOR));
    }
    assert!(
        dead.iter_mut()
            .all(|waiting| waiting.now_or_never().is_none())
    );
}

#[tokio::test]
async fn a_server_that_drops_questions_for_ipv6_takes_no_address_away() {
    let (server, _listener) = name_server(|question| {
        let query = question.queries[0].clone();
        if query.query_type != RecordType::A {
            return Vec::new();
        }
        let mut message = Message::response(question.metadata.id, OpCode::Query);
        message.add_answer(Record::from_rdata(
            query.name.clone(),
            0,
            RData::A(A(VENDOR)),
        ));
        message.add_query(query);
        vec![message.to_vec().unwrap()]
    })
    .await;
    let (resolver, _folder) = resolver(vec![server], "", "");
    assert_eq!(
        resolver
            .look_up("api.vendor.example", soon())
            .await
            .unwrap(),
        found(VENDOR)
    );
}

#[tokio::test]
async fn an_answer_that_leads_where_the_policy_does_not_is_a_fault_of_that_answer() {
    let target = serve(|_stream| async {}).await;
    for address in [
        Ipv4Addr::LOCALHOST,
        Ipv4Addr::UNSPECIFIED,
        Ipv4Addr::new(169, 254, 169, 254),
    ] {
        let (server, _asked) = server(&["api.vendor.example."], address).await;
        let net = net(
            NetSettings {
                nameservers: vec![server],
                ..NetSettings::default()
            },
            None,
        );
        let public = permission(&["api.vendor.example", "localhost"], false);
        let failure = net
            .stream_connect(&public, "api.vendor.example", target.port(), soon())
            .await
            .unwrap_err();
        assert_eq!(
            failure.error.kind(),
            ErrorKind::Dns,
            "another attempt may be answered otherwise: {failure}"
        );
        assert!(
            failure
                .to_string()
                .contains(&format!("`api.vendor.example` is `{address}`")),
            "{failure}"
        );
        // An entry of the machine itself is no answer of a server: it stays.
        let failure = net
            .stream_connect(&public, "localhost", target.port(), soon())
            .await
            .unwrap_err();
        assert_eq!(failure.error.kind(), ErrorKind::Denied);
    }
}

#[tokio::test]
async fn what_was_checked_is_what_is_connected_to() {
    let target = serve(|_stream| async {}).await;
    let (server, asked) = server(&["shop.example."], Ipv4Addr::LOCALHOST).await;
    let net = net(
        NetSettings {
            nameservers: vec![server],
            ..NetSettings::default()
        },
        None,
    );
    let private = permission(&["shop.example"], true);
    let connection = net
        .stream_connect(&private, "shop.example", target.port(), soon())
        .await
        .unwrap();
    assert_eq!(connection.peer(), target);
    assert!(connection.phases().dns_us.is_some());
    assert_eq!(
        asked
            .lock()
            .unwrap()
            .iter()
            .filter(|(_, kind)| *kind == RecordType::A)
            .count(),
        1
    );
}
