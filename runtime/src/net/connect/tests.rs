use tokio::net::{TcpListener, TcpSocket};

use super::*;
use crate::net::testing::{closed_port, serve, shortly, soon};

fn name() -> Host {
    Host::Domain("shop.example".to_owned())
}

/// A listener whose queue is full: the system drops what comes next, as a dead machine would.
async fn unresponsive() -> (TcpListener, Vec<TcpStream>, SocketAddr) {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let listener = socket.listen(1).unwrap();
    let address = listener.local_addr().unwrap();
    let mut waiting = Vec::new();
    while let Ok(Ok(stream)) = tokio::time::timeout(Duration::from_millis(300), TcpStream::connect(address)).await {
        waiting.push(stream);
    }
    (listener, waiting, address)
}

#[tokio::test]
async fn the_next_address_is_tried_when_one_fails() {
    let (_listener, _waiting, dead) = unresponsive().await;
    let closed = closed_port().await;
    let live = serve(|_stream| async {}).await;
    let mut trace = Trace::new(Instant::now() + Duration::from_secs(3));
    let connected = connect_to(&mut trace, &name(), 80, &[closed, dead, live]).await.unwrap();
    assert_eq!(connected.peer, live);
    // The dead one had its share, a half of what was left, and no more.
    assert!(trace.phases.connect_us.unwrap() >= 1_000_000);
}

#[tokio::test]
async fn all_addresses_that_failed_are_named() {
    let (one, two) = (closed_port().await, closed_port().await);
    let error = connect_to(&mut Trace::new(soon()), &name(), 80, &[one, two]).await.unwrap_err();
    let text = "can't connect to `shop.example:80`: connection refused (127.0.0.1), connection refused (127.0.0.1)";
    assert_eq!(error, NetError::Connect(text.to_owned()));
}

#[tokio::test]
async fn no_answer_to_the_connection_ends_at_the_deadline() {
    let (_listener, _waiting, dead) = unresponsive().await;
    let mut trace = Trace::new(shortly());
    let error = connect_to(&mut trace, &name(), 80, &[dead]).await.unwrap_err();
    assert!(matches!(&error, NetError::Timeout(text) if text.contains("connecting to `shop.example:80`")), "{error}");
    assert!(trace.phases.connect_us.is_none() && trace.total_us() < 5_000_000);
}
