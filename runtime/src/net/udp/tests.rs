use std::time::Duration;

use super::*;
use crate::domain::ErrorKind;
use crate::net::testing::{loopback, permission, plain_net, soon};

/// Answers each datagram twice as long.
async fn serve_doubled() -> SocketAddr {
    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let address = socket.local_addr().unwrap();
    tokio::spawn(async move {
        let mut bytes = [0; 2048];
        while let Ok((count, peer)) = socket.recv_from(&mut bytes).await {
            let _ = socket.send_to(&bytes[..count].repeat(2), peer).await;
        }
    });
    address
}

#[tokio::test]
async fn sends_receives_and_measures() {
    let address = serve_doubled().await;
    let mut socket = plain_net()
        .udp_open(&loopback(), "localhost", address.port(), soon())
        .await
        .unwrap();
    assert_eq!(socket.peer(), address);
    socket.send(b"abc", soon()).await.unwrap();
    assert_eq!(socket.receive(100, soon()).await.unwrap(), b"abcabc");
    assert!(socket.phases().first_byte_us.is_some() && socket.total_us() > 0);
    socket.send(b"abc", soon()).await.unwrap();
    let failure = socket.receive(5, soon()).await.unwrap_err();
    assert!(matches!(failure.error, NetError::TooLarge(_)), "{failure}");
    socket.send(b"", soon()).await.unwrap();
    assert_eq!(socket.receive(0, soon()).await.unwrap(), b"");
}

#[tokio::test]
async fn fails_by_policy_by_silence_and_by_size() {
    let silent = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let port = silent.local_addr().unwrap().port();
    let net = plain_net();
    for permission in [
        permission(&["127.0.0.1"], false),
        permission(&["127.0.0.1:1"], true),
    ] {
        let denied = net.udp_open(&permission, "127.0.0.1", port, soon()).await;
        assert_eq!(denied.unwrap_err().error.kind(), ErrorKind::Denied);
    }
    let mut socket = net
        .udp_open(&loopback(), "127.0.0.1", port, soon())
        .await
        .unwrap();
    socket.send(b"?", soon()).await.unwrap();
    let soonest = Instant::now() + Duration::from_millis(20);
    let failure = socket.receive(10, soonest).await.unwrap_err();
    assert_eq!(failure.error.kind(), ErrorKind::Timeout);
    let failure = socket.send(&vec![0; 70_000], soon()).await.unwrap_err();
    assert!(matches!(failure.error, NetError::TooLarge(_)), "{failure}");
    // The port is closed now, which the network reports to who sends.
    drop(silent);
    socket.send(b"?", soon()).await.unwrap();
    let failure = socket.receive(10, soon()).await.unwrap_err();
    assert_eq!(failure.error.kind(), ErrorKind::Connect, "{failure}");
}
