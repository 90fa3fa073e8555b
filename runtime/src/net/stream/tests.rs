use std::time::Duration;

use super::*;
use crate::domain::ErrorKind;
use crate::net::testing::{
    Authority, Leaf, closed_port, loopback, net, permission, plain_net, serve, serve_silence,
    shortly, soon,
};
use crate::net::{Net, NetSettings};

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
        .stream_connect(&loopback(), "localhost", address.port(), soon())
        .await
        .unwrap();
    assert!(
        connection.phases().connect_us.is_some() && connection.phases().first_byte_us.is_none()
    );
    connection.write(b"PING", soon()).await.unwrap();
    assert_eq!(connection.read(5, soon()).await.unwrap(), b"+PONG");
    assert_eq!(connection.read(usize::MAX, soon()).await.unwrap(), b"\r\n");
    connection.write(b"QUIT", soon()).await.unwrap();
    assert_eq!(connection.read(100, soon()).await.unwrap(), b"+PONG\r\n");
    assert_eq!(connection.read(100, soon()).await.unwrap(), b"");
    assert!(connection.phases().first_byte_us.is_some());
    assert!(connection.peer() == address && connection.total_us() > 0);
}

#[tokio::test]
async fn fails_by_policy_by_refusal_and_by_silence() {
    let net = plain_net();
    let closed = closed_port().await;
    let silent = serve_silence().await;
    let refused = net
        .stream_connect(&loopback(), "127.0.0.1", closed.port(), soon())
        .await
        .unwrap_err();
    assert_eq!(refused.error.kind(), ErrorKind::Connect);
    let denied = net
        .stream_connect(
            &permission(&["127.0.0.1"], false),
            "127.1",
            silent.port(),
            soon(),
        )
        .await
        .unwrap_err();
    assert_eq!(denied.error.kind(), ErrorKind::Denied);
    let denied = net
        .stream_connect(
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
            .stream_connect(&loopback(), wrong, 1, soon())
            .await
            .unwrap_err();
        assert_eq!(failure.error.kind(), ErrorKind::Protocol, "{wrong}");
    }
    let mut connection = net
        .stream_connect(&loopback(), "127.0.0.1", silent.port(), soon())
        .await
        .unwrap();
    let started = Instant::now();
    let failure = connection.read(1, shortly()).await.unwrap_err();
    assert_eq!(failure.error.kind(), ErrorKind::Timeout);
    assert!(failure.phases.connect_us.is_some() && started.elapsed() < Duration::from_secs(5));
}

/// Reads `STARTTLS`, answers, and echoes over TLS until `QUIT`.
async fn serve_starttls(authority: &Authority, leaf: &Leaf) -> SocketAddr {
    let acceptor = authority.acceptor(leaf, &[b"xmpp-client"]);
    serve(move |mut stream| {
        let acceptor = acceptor.clone();
        async move {
            let mut word = [0; 8];
            let _ = stream.read_exact(&mut word).await;
            let _ = stream.write_all(b"go ahead").await;
            let Ok(mut stream) = acceptor.accept(stream).await else {
                return;
            };
            let mut word = [0; 4];
            while stream.read_exact(&mut word).await.is_ok() && word != *b"QUIT" {
                let _ = stream.write_all(&word).await;
                let _ = stream.flush().await;
            }
            let _ = stream.shutdown().await;
        }
    })
    .await
}

async fn plain_part(net: &Net, address: SocketAddr) -> Stream {
    let mut connection = net
        .stream_connect(&loopback(), "localhost", address.port(), soon())
        .await
        .unwrap();
    connection.write(b"STARTTLS", soon()).await.unwrap();
    assert_eq!(connection.read(100, soon()).await.unwrap(), b"go ahead");
    connection
}

#[tokio::test]
async fn continues_with_tls_after_plain_bytes() {
    let authority = Authority::new();
    let address = serve_starttls(&authority, &Leaf::of(&["localhost"])).await;
    let net = net(NetSettings::default(), Some(&authority));
    let mut connection = plain_part(&net, address).await;
    let options = StartTls {
        alpn: vec!["xmpp-client".to_owned()],
        ..StartTls::default()
    };
    let session = connection.start_tls(&options, soon()).await.unwrap();
    assert_eq!(session.untrusted, None);
    assert_eq!(session.chain[0].names, ["localhost"]);
    assert_eq!(session.alpn.as_deref(), Some("xmpp-client"));
    assert!(connection.phases().tls_us.is_some());
    connection.write(b"PING", soon()).await.unwrap();
    assert_eq!(connection.read(100, soon()).await.unwrap(), b"PING");
    let again = connection.start_tls(&options, soon()).await.unwrap_err();
    assert!(again.to_string().contains("before"), "{again}");
    connection.write(b"QUIT", soon()).await.unwrap();
    assert_eq!(connection.read(100, soon()).await.unwrap(), b"");
}

#[tokio::test]
async fn an_untrusted_certificate_ends_the_connection_unless_it_is_accepted() {
    let address = serve_starttls(&Authority::new(), &Leaf::of(&["localhost"])).await;
    let net = plain_net();
    let mut connection = plain_part(&net, address).await;
    let refused = connection
        .start_tls(&StartTls::default(), soon())
        .await
        .unwrap_err();
    assert_eq!(refused.error.kind(), ErrorKind::Tls, "{refused}");
    let broken = connection.write(b"PING", soon()).await.unwrap_err();
    assert!(broken.to_string().contains("handshake failed"), "{broken}");

    let mut connection = plain_part(&net, address).await;
    let options = StartTls {
        accept_untrusted: true,
        ..StartTls::default()
    };
    let session = connection.start_tls(&options, soon()).await.unwrap();
    let reason = session.untrusted.unwrap();
    assert!(reason.contains("is unknown"), "{reason}");
    connection.write(b"PING", soon()).await.unwrap();
    assert_eq!(connection.read(100, soon()).await.unwrap(), b"PING");
}

#[tokio::test]
async fn reads_go_on_after_a_time_out() {
    let (release, released) = tokio::sync::watch::channel(false);
    let address = serve(move |mut stream| {
        let mut released = released.clone();
        async move {
            let _ = released.wait_for(|is_released| *is_released).await;
            let _ = stream.write_all(b"late").await;
        }
    })
    .await;
    let mut connection = plain_net()
        .stream_connect(&loopback(), "127.0.0.1", address.port(), soon())
        .await
        .unwrap();
    let soonest = Instant::now() + Duration::from_millis(20);
    let failure = connection.read(10, soonest).await.unwrap_err();
    assert_eq!(failure.error.kind(), ErrorKind::Timeout);
    release.send_replace(true);
    assert_eq!(connection.read(10, soon()).await.unwrap(), b"late");
}
