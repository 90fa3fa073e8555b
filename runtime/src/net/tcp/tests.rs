use std::time::Duration;

use super::*;
use crate::domain::ErrorKind;
use crate::net::testing::{
    closed_port, loopback, permission, plain_net, serve, serve_silence, shortly, soon,
};

#[tokio::test]
async fn writes_reads_and_measures() {
    let address = serve(|mut stream| async move {
        let mut word = [0; 4];
        while stream.read_exact(&mut word).await.is_ok() {
            let _ = stream.write_all(b"+PONG\r\n").await;
            if word == *b"QUIT" {
                break;
            }
        }
    })
    .await;
    let net = plain_net();
    let mut connection = net
        .tcp_open(&loopback(), "localhost", address.port(), soon())
        .await
        .unwrap();
    assert!(
        connection.phases().connect_us.is_some() && connection.phases().first_byte_us.is_none()
    );
    connection.write(b"PING").await.unwrap();
    assert_eq!(connection.read(5).await.unwrap(), b"+PONG");
    assert_eq!(connection.read(usize::MAX).await.unwrap(), b"\r\n");
    connection.write(b"QUIT").await.unwrap();
    assert_eq!(connection.read(100).await.unwrap(), b"+PONG\r\n");
    assert_eq!(connection.read(100).await.unwrap(), b"");
    assert!(connection.phases().first_byte_us.is_some());
    assert!(connection.peer() == address && connection.total_us() > 0);
}

#[tokio::test]
async fn fails_by_policy_by_refusal_and_by_silence() {
    let net = plain_net();
    let closed = closed_port().await;
    let silent = serve_silence().await;
    let refused = net
        .tcp_open(&loopback(), "127.0.0.1", closed.port(), soon())
        .await
        .unwrap_err();
    assert_eq!(refused.error.kind(), ErrorKind::Connect);
    let denied = net
        .tcp_open(
            &permission(&["127.0.0.1"], false),
            "127.1",
            silent.port(),
            soon(),
        )
        .await
        .unwrap_err();
    assert_eq!(denied.error.kind(), ErrorKind::Denied);
    let denied = net
        .tcp_open(
            &permission(&["127.0.0.1:1"], true),
            "127.1",
            silent.port(),
            soon(),
        )
        .await
        .unwrap_err();
    assert_eq!(denied.error.kind(), ErrorKind::Denied);
    for wrong in ["", "a b", "fe80::1%1"] {
        let failure = net
            .tcp_open(&loopback(), wrong, 1, soon())
            .await
            .unwrap_err();
        assert_eq!(failure.error.kind(), ErrorKind::Protocol, "{wrong}");
    }
    let mut connection = net
        .tcp_open(&loopback(), "127.0.0.1", silent.port(), soon())
        .await
        .unwrap();
    connection.set_deadline(shortly());
    let started = Instant::now();
    let failure = connection.read(1).await.unwrap_err();
    assert_eq!(failure.error.kind(), ErrorKind::Timeout);
    assert!(failure.phases.connect_us.is_some() && started.elapsed() < Duration::from_secs(5));
}
