use super::*;
use crate::domain::ErrorKind;
use crate::net::NetSettings;
use crate::net::testing::{Authority, Leaf, closed_port, loopback, net, plain_net, soon};

#[tokio::test]
async fn a_handshake_shows_trusted_and_untrusted_chains_alike() {
    let authority = Authority::new();
    let trusting = net(NetSettings::default(), Some(&authority));
    let stranger = plain_net();
    for (net, server_name, leaf, untrusted) in [
        (&trusting, None, Leaf::of(&["127.0.0.1"]), None),
        (&trusting, Some("shop.example"), Leaf::of(&["shop.example"]), None),
        (&trusting, Some("a.shop.example"), Leaf::of(&["*.shop.example"]), None),
        (&trusting, None, Leaf::of(&["shop.example"]), Some("is for `shop.example`, not for `127.0.0.1`")),
        (&trusting, None, Leaf { until: 2022, ..Leaf::of(&["127.0.0.1"]) }, Some("expired on 2022-01-01")),
        (&stranger, None, Leaf::of(&["127.0.0.1"]), Some("issuer `CN=Test Authority` is unknown")),
    ] {
        let address = authority.serve(&leaf, &[], |_stream| async {}).await;
        let session = net.tls_handshake(&loopback(), "127.0.0.1", address.port(), server_name, soon()).await.unwrap();
        assert_eq!(session.protocol, "TLSv1.3");
        assert!(session.cipher.starts_with("TLS_"), "{}", session.cipher);
        assert_eq!((session.chain.len(), session.peer), (1, address));
        assert_eq!(session.chain[0].names, leaf.names);
        assert!(session.phases.connect_us.is_some() && session.phases.tls_us.is_some());
        match untrusted {
            Some(text) => assert!(session.untrusted.as_ref().unwrap().contains(text), "{:?}", session.untrusted),
            None => assert_eq!(session.untrusted, None),
        }
    }
}

#[tokio::test]
async fn a_handshake_that_fails_tells_how_far_it_came() {
    let address = closed_port().await;
    let failure = plain_net().tls_handshake(&loopback(), "127.0.0.1", address.port(), None, soon()).await.unwrap_err();
    assert_eq!(failure.error.kind(), ErrorKind::Connect);
    let failure = plain_net().tls_handshake(&loopback(), "10.0.0.1", 443, None, soon()).await.unwrap_err();
    assert_eq!(failure.error.kind(), ErrorKind::Denied);
    let address = crate::net::testing::serve(|_stream| async {}).await;
    let failure = plain_net().tls_handshake(&loopback(), "127.0.0.1", address.port(), None, soon()).await.unwrap_err();
    assert_eq!(failure.error.kind(), ErrorKind::Tls, "{failure}");
    assert!(failure.phases.connect_us.is_some() && failure.phases.tls_us.is_none());
}

#[test]
fn roots_fall_back_to_the_built_in_ones() {
    assert!(Roots::new(Vec::new()).store.len() > 50);
    assert!(Roots::new(vec![CertificateDer::from(vec![1, 2, 3])]).store.len() > 50);
    assert_eq!(Roots::new(vec![Authority::new().root]).store.len(), 1);
}
