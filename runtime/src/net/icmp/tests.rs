use super::*;
use crate::domain::ErrorKind;
use crate::net::testing::{loopback, permission, plain_net, soon};

fn request(host: &str, count: u32) -> EchoRequest {
    EchoRequest {
        host: host.to_owned(),
        count,
        interval: Duration::from_millis(10),
        timeout: Duration::from_secs(5),
        size: 56,
        deadline: soon(),
    }
}

/// Pings an address of this machine. None: the kernel lets this user send no echo requests, or has no such protocol, and
/// the failure says so; then there is nothing more to test here.
async fn echoes(host: &str, count: u32) -> Option<Echoes> {
    let (net, reach, wanted) = (plain_net(), loopback(), request(host, count));
    let failure = match net.icmp_ping(&reach, &wanted).await {
        Ok(echoes) => return Some(echoes),
        Err(failure) => failure,
    };
    let text = failure.error.to_string();
    match failure.error {
        NetError::Denied(_) => assert!(text.contains("net.ipv4.ping_group_range"), "{text}"),
        NetError::Connect(_) if host == "::1" => {
            assert!(text.contains("`::1` failed"), "{text}");
        }
        _ => panic!("{text}"),
    }
    None
}

#[tokio::test]
async fn this_machine_answers_over_both_protocols_where_the_kernel_allows_it() {
    for host in ["127.0.0.1", "::1"] {
        let Some(echoes) = echoes(host, 3).await else {
            continue;
        };
        assert_eq!(echoes.address.to_string(), host);
        assert_eq!(echoes.round_trips.len(), 3);
        assert!(
            echoes.round_trips.iter().all(Option::is_some),
            "{host}: {echoes:?}"
        );
    }
}

#[tokio::test]
async fn an_address_without_a_way_does_not_hide_the_next_one() {
    // Sockets that were not made for broadcasts are refused the first one.
    let [broadcast, here]: [SocketAddr; 2] =
        ["255.255.255.255:0", "127.0.0.1:0"].map(|address| address.parse().unwrap());
    match first_reached(&[broadcast, here], &request("a.example", 1)).await {
        Ok((address, round_trips)) => {
            assert_eq!(address, here.ip());
            assert!(round_trips.iter().all(Option::is_some), "{round_trips:?}");
            let nowhere = first_reached(&[broadcast, broadcast], &request("a.example", 1)).await;
            let text = nowhere.unwrap_err().to_string();
            assert_eq!(text.matches("`255.255.255.255`").count(), 2, "{text}");
        }
        // The kernel lets this user send none at all.
        Err(NetError::Denied(text)) => assert!(text.contains("ping_group_range"), "{text}"),
        Err(error) => panic!("{error}"),
    }
}

#[tokio::test]
async fn what_the_policy_does_not_allow_is_refused_before_anything_is_sent() {
    let net = plain_net();
    for (permission, host) in [
        (permission(&["127.0.0.1"], false), "127.0.0.1"),
        (permission(&["10.0.0.1"], true), "127.0.0.1"),
        (permission(&["a.example:443"], true), "b.example"),
    ] {
        let failure = net.icmp_ping(&permission, &request(host, 1)).await;
        let error = failure.unwrap_err().error;
        assert_eq!(error.kind(), ErrorKind::Denied, "{host}");
        assert!(!error.to_string().contains("ping_group_range"), "{error}");
    }
    // A rule with a port is one for the host: echo requests have no ports.
    let by_port = permission(&["127.0.0.1:443"], true);
    if let Err(failure) = net.icmp_ping(&by_port, &request("127.0.0.1", 1)).await {
        assert!(
            failure.to_string().contains("ping_group_range"),
            "{failure}"
        );
    }
}

#[tokio::test]
async fn what_is_out_of_bounds_or_takes_longer_than_the_run_is_refused_with_the_reason() {
    let usual = request("127.0.0.1", 1);
    let late = Duration::from_secs(60);
    for (wrong, text) in [
        (
            EchoRequest {
                count: 0,
                ..usual.clone()
            },
            "1 to 100",
        ),
        (
            EchoRequest {
                count: 101,
                ..usual.clone()
            },
            "1 to 100",
        ),
        (
            EchoRequest {
                interval: Duration::ZERO,
                ..usual.clone()
            },
            "10 ms apart",
        ),
        (
            EchoRequest {
                size: 7,
                ..usual.clone()
            },
            "8 to 1400",
        ),
        (
            EchoRequest {
                size: 65_000,
                ..usual.clone()
            },
            "8 to 1400",
        ),
        (
            EchoRequest {
                timeout: late,
                ..usual.clone()
            },
            "raise the probe's timeout",
        ),
        (
            EchoRequest {
                timeout: Duration::MAX,
                count: 2,
                ..usual.clone()
            },
            "raise the probe's timeout",
        ),
    ] {
        let failure = plain_net().icmp_ping(&loopback(), &wrong).await;
        let failure = failure.unwrap_err();
        assert_eq!(failure.error.kind(), ErrorKind::Protocol, "{wrong:?}");
        assert!(failure.to_string().contains(text), "{failure}");
    }
}

#[test]
fn only_answers_to_our_own_requests_count() {
    for (is_v6, request_type, answer_type) in [(false, 8, 0), (true, 128, 129)] {
        let echo = Echo { is_v6, token: 7 };
        let sent = echo.packet(300, 56);
        assert_eq!((sent.len(), sent[0]), (64, request_type));
        assert_eq!(echo.answered(&sent), None, "a request is no answer");
        let mut answer = sent.clone();
        answer[0] = answer_type;
        assert_eq!(echo.answered(&answer), Some(300));
        let other = Echo { is_v6, token: 8 };
        assert_eq!(other.answered(&answer), None);
        for cut in 0..16 {
            assert_eq!(echo.answered(&answer[..cut]), None, "{cut}");
        }
    }
    let echo = Echo {
        is_v6: false,
        token: 7,
    };
    let mut answer = echo.packet(2, 8);
    answer[0] = 0;
    let with_header = [vec![0x45], vec![0; 19], answer].concat();
    assert_eq!(echo.answered(&with_header), Some(2));
}

#[test]
fn the_checksum_of_a_message_with_its_checksum_is_zero() {
    let packet = Echo {
        is_v6: false,
        token: 0x0123_4567_89ab_cdef,
    }
    .packet(513, 57);
    assert_eq!(checksum(&packet), 0);
    assert_eq!(
        checksum(&[0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7]),
        0x220d
    );
}
