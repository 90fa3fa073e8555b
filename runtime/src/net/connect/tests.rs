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
    while let Ok(Ok(stream)) =
        tokio::time::timeout(Duration::from_millis(300), TcpStream::connect(address)).await
    {
        waiting.push(stream);
    }
    (listener, waiting, address)
}

#[tokio::test]
async fn the_next_address_is_tried_when_one_fails() {
    let (_listener, _waiting, dead) = unresponsive().await;
    let closed = closed_port().await;
    let live = serve(|_stream| async {}).await;
    let mut trace = Trace::new(soon());
    let connected = connect_to(&mut trace, &name(), 80, &[closed, dead, live])
        .await
        .unwrap();
    assert_eq!(connected.peer, live);
    assert!(
        trace.phases.connect_us.unwrap() >= 250_000,
        "the dead one had its chance"
    );
}

#[tokio::test]
async fn all_addresses_that_failed_are_named() {
    let (one, two) = (closed_port().await, closed_port().await);
    let error = connect_to(&mut Trace::new(soon()), &name(), 80, &[one, two])
        .await
        .unwrap_err();
    let text = "can't connect to `shop.example:80`: connection refused (127.0.0.1), connection refused (127.0.0.1)";
    assert_eq!(error, NetError::Connect(text.to_owned()));
}

#[tokio::test]
async fn no_answer_to_the_connection_ends_at_the_deadline() {
    let (_listener, _waiting, dead) = unresponsive().await;
    let mut trace = Trace::new(shortly());
    let error = connect_to(&mut trace, &name(), 80, &[dead])
        .await
        .unwrap_err();
    assert!(
        matches!(&error, NetError::Timeout(text) if text.contains("connecting to `shop.example:80`")),
        "{error}"
    );
    assert!(trace.phases.connect_us.is_none() && trace.total_us() < 5_000_000);
}

#[tokio::test]
async fn an_address_that_is_silent_at_first_may_still_be_the_one() {
    let (listener, waiting, slow) = unresponsive().await;
    let (_dead_listener, _dead_waiting, dead) = unresponsive().await;
    let mut trace = Trace::new(soon());
    let (host, addresses) = (name(), [slow, dead]);
    let connecting = connect_to(&mut trace, &host, 80, &addresses);
    let wake_up = async {
        // Room in the queue: the system takes the next attempt to reach it.
        for _ in &waiting {
            listener.accept().await.unwrap();
        }
        std::future::pending::<()>().await
    };
    tokio::select! {
        connected = connecting => assert_eq!(connected.unwrap().peer, slow),
        () = wake_up => {}
    }
}

#[tokio::test]
async fn all_silent_addresses_are_named_at_the_deadline() {
    let (_one_listener, _one_waiting, one) = unresponsive().await;
    let (_other_listener, _other_waiting, other) = unresponsive().await;
    tokio::time::pause();
    let error = connect_to(&mut Trace::new(shortly()), &name(), 80, &[one, other])
        .await
        .unwrap_err();
    let wanted = "while connecting to `shop.example:80` (127.0.0.1, 127.0.0.1)";
    assert!(
        matches!(&error, NetError::Timeout(text) if text.ends_with(wanted)),
        "{error}"
    );
}
