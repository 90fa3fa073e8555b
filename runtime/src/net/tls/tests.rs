use rustls::client::danger::ServerCertVerifier;
use rustls::pki_types::UnixTime;
use rustls::pki_types::pem::PemObject;

use super::*;
use crate::domain::ErrorKind;
use crate::net::testing::{Authority, Leaf, closed_port, loopback, net, plain_net, soon};
use crate::net::{Net, NetFailure, NetSettings, StartTls, Stream};

/// Completes with a certificate that is not trusted, too.
async fn shake_hands(
    net: &Net,
    host: &str,
    port: u16,
    server_name: Option<&str>,
) -> Result<(TlsSession, Stream), NetFailure> {
    let options = StartTls {
        server_name: server_name.map(str::to_owned),
        accept_untrusted: true,
        alpn: Vec::new(),
    };
    let mut stream = net.stream_connect(&loopback(), host, port, soon()).await?;
    let session = stream.start_tls(&options, soon()).await?;
    Ok((session, stream))
}

#[tokio::test]
async fn a_handshake_shows_trusted_and_untrusted_chains_alike() {
    let authority = Authority::new();
    let trusting = net(NetSettings::default(), Some(&authority));
    let stranger = plain_net();
    for (net, server_name, leaf, untrusted) in [
        (&trusting, None, Leaf::of(&["127.0.0.1"]), None),
        (
            &trusting,
            Some("shop.example"),
            Leaf::of(&["shop.example"]),
            None,
        ),
        (
            &trusting,
            Some("a.shop.example"),
            Leaf::of(&["*.shop.example"]),
            None,
        ),
        (
            &trusting,
            None,
            Leaf::of(&["shop.example"]),
            Some("is for `shop.example`, not for `127.0.0.1`"),
        ),
        (
            &trusting,
            None,
            Leaf {
                until: 2022,
                ..Leaf::of(&["127.0.0.1"])
            },
            Some("expired on 2022-01-01"),
        ),
        (
            &stranger,
            None,
            Leaf::of(&["127.0.0.1"]),
            Some("issuer `CN=Test Authority` is unknown"),
        ),
    ] {
        let address = authority.serve(&leaf, &[], |_stream| async {}).await;
        let (session, stream) = shake_hands(net, "127.0.0.1", address.port(), server_name)
            .await
            .unwrap();
        assert_eq!(session.protocol, "TLSv1.3");
        assert!(session.cipher.starts_with("TLS_"), "{}", session.cipher);
        assert_eq!((session.chain.len(), stream.peer()), (1, address));
        assert_eq!(session.chain[0].names, leaf.names);
        assert!(stream.phases().connect_us.is_some() && stream.phases().tls_us.is_some());
        match untrusted {
            Some(text) => assert!(
                session.untrusted.as_ref().unwrap().contains(text),
                "{:?}",
                session.untrusted
            ),
            None => assert_eq!(session.untrusted, None),
        }
    }
}

#[tokio::test]
async fn a_handshake_that_fails_tells_how_far_it_came() {
    let address = closed_port().await;
    let failure = shake_hands(&plain_net(), "127.0.0.1", address.port(), None)
        .await
        .unwrap_err();
    assert_eq!(failure.error.kind(), ErrorKind::Connect);
    let failure = shake_hands(&plain_net(), "10.0.0.1", 443, None)
        .await
        .unwrap_err();
    assert_eq!(failure.error.kind(), ErrorKind::Denied);
    let address = crate::net::testing::serve(|_stream| async {}).await;
    let failure = shake_hands(&plain_net(), "127.0.0.1", address.port(), None)
        .await
        .unwrap_err();
    assert_eq!(failure.error.kind(), ErrorKind::Tls, "{failure}");
    assert!(failure.phases.connect_us.is_some() && failure.phases.tls_us.is_none());
}

#[test]
fn roots_fall_back_to_the_built_in_ones() {
    assert!(Roots::new(Vec::new()).store.len() > 50);
    assert!(
        Roots::new(vec![CertificateDer::from(vec![1, 2, 3])])
            .store
            .len()
            > 50
    );
    assert_eq!(Roots::new(vec![Authority::new().root]).store.len(), 1);
}

/// Certificate of `tests/fixtures/certificates`.
fn fixture(name: &str) -> CertificateDer<'static> {
    let path = format!(
        "{}/../tests/fixtures/certificates/{name}.pem",
        env!("CARGO_MANIFEST_DIR")
    );
    CertificateDer::from_pem_slice(&std::fs::read(path).unwrap()).unwrap()
}

/// Verdict on this chain for this host, with these roots.
fn inspected(
    roots: Vec<CertificateDer<'static>>,
    chain: &[CertificateDer<'static>],
    host: &str,
) -> Inspector {
    let tls = Tls::new(&Roots::new(roots)).unwrap();
    let inspector = Inspector::new(tls.trust, true);
    let name = ServerName::try_from(host.to_owned()).unwrap();
    inspector
        .verify_server_cert(&chain[0], &chain[1..], &name, &[], UnixTime::now())
        .unwrap();
    inspector
}

#[test]
fn signatures_that_browsers_take_are_taken() {
    for (root, leaf) in [
        ("root", "p521"),
        ("root-p521", "by-p521"),
        ("root-p521", "by-p521-sha256"),
        ("root-p384", "by-p384-sha512"),
        ("root", "by-p256-sha512"),
        ("root", "rsa"),
    ] {
        for host in ["localhost", "127.0.0.1"] {
            assert_eq!(
                inspected(vec![fixture(root)], &[fixture(leaf)], host).fault(),
                None,
                "{leaf}"
            );
        }
        // By another root's key.
        let others = vec![fixture(if root == "root-p384" {
            "root-p521"
        } else {
            "root-p384"
        })];
        let fault = inspected(others, &[fixture(leaf)], "localhost")
            .fault()
            .unwrap();
        assert!(fault.contains("is unknown"), "{leaf}: {fault}");
    }
    let mut forged = fixture("by-p521").to_vec();
    let last = forged.len() - 1;
    forged[last] ^= 1;
    let fault = inspected(vec![fixture("root-p521")], &[forged.into()], "localhost")
        .fault()
        .unwrap();
    assert!(
        fault.contains("not signed by the key of its issuer"),
        "{fault}"
    );
}

#[test]
fn faults_of_certificates_are_told_in_sentences() {
    let roots = || ["root", "root-rsa"].map(fixture).to_vec();
    for (leaf, host, wanted) in [
        (
            "sha1",
            "localhost",
            "certificate `CN=Test Server` is signed with SHA-1, which is not safe any more; wanted SHA-256 or better",
        ),
        (
            "version-1",
            "localhost",
            "certificate `CN=Test Server` is of an old version of X.509, wanted version 3, with the server's names in its \
             `subjectAltName`",
        ),
        (
            "address-as-name",
            "127.0.0.1",
            "certificate has the address `127.0.0.1` as a DNS name (`DNS:127.0.0.1`), wanted `IP:127.0.0.1` in its \
             `subjectAltName`",
        ),
        (
            "common-name",
            "localhost",
            "certificate is for no name, not for `localhost`: it has none in a `subjectAltName`, and its common name \
             `Test Server` does not count",
        ),
        (
            "p521",
            "shop.example",
            "certificate is for `localhost`, `127.0.0.1`, not for `shop.example`",
        ),
        (
            "own",
            "localhost",
            "certificate `CN=Own` is an authority's own, not a server's (`CA:TRUE`); sign one for the server with it, or trust \
             this one by adding it to the file that `SSL_CERT_FILE` names",
        ),
    ] {
        assert_eq!(
            inspected(roots(), &[fixture(leaf)], host)
                .fault()
                .as_deref(),
            Some(wanted)
        );
    }
}

#[test]
fn a_certificate_that_is_trusted_itself_is_taken_for_its_names() {
    let own = || fixture("own");
    assert_eq!(inspected(vec![own()], &[own()], "localhost").fault(), None);
    let fault = inspected(vec![own()], &[own()], "shop.example")
        .fault()
        .unwrap();
    assert_eq!(
        fault,
        "certificate is for `localhost`, `127.0.0.1`, not for `shop.example`"
    );
}

#[test]
fn the_path_is_what_was_verified_and_not_what_was_shown() {
    let (authority, old) = (Authority::new(), Authority::new());
    let between = authority.intermediate("Between", 2090);
    let cross = authority.cross_signed_by(&old, 2022);
    let chain = [
        between.leaf(&Leaf::of(&["localhost"])),
        between.root.clone(),
        cross,
    ];
    let [leaf, intermediate, _] = &chain;
    let inspector = inspected(vec![authority.root.clone()], &chain, "localhost");
    assert_eq!(inspector.fault(), None);
    assert_eq!(
        inspector.path(&chain).unwrap(),
        [leaf.clone(), intermediate.clone()]
    );
    // The cross-signature ended long ago, and was for those who trust the old authority alone.
    let untrusted = inspected(vec![old.root.clone()], &chain, "localhost");
    assert!(
        untrusted.fault().unwrap().contains("expired on 2022-01-01"),
        "{:?}",
        untrusted.fault()
    );
    assert_eq!(untrusted.path(&chain), None);
}

#[test]
fn chains_are_trusted_where_they_should_be_and_else_told_apart() {
    let authority = Authority::new();
    let (between, ended) = (
        authority.intermediate("Between", 2090),
        authority.intermediate("Ended", 2022),
    );
    let by = |issuer: &Authority, names| vec![issuer.leaf(&Leaf::of(names)), issuer.root.clone()];
    let direct = |names| vec![authority.leaf(&Leaf::of(names))];
    let many: Vec<&str> = (0..121)
        .map(|number| &*format!("n{number:03}.example").leak())
        .collect();
    for (chain, host, wanted) in [
        (by(&between, &["shop.example"]), "shop.example", ""),
        (by(&between, &["shop.example"]), "shop.example.", ""),
        (by(&between, &["127.0.0.1"]), "127.0.0.1", ""),
        (by(&between, &["::1"]), "::1", ""),
        (
            by(&between, &["shop.example"])[..1].to_vec(),
            "shop.example",
            "issuer `CN=Between` is unknown; is an intermediate",
        ),
        (
            by(&ended, &["shop.example"]),
            "shop.example",
            "certificate `CN=Ended` expired on 2022-01-01T00:00:00Z, now it is 2",
        ),
        (direct(&["*.shop.example"]), "a.shop.example", ""),
        (
            direct(&["*.shop.example"]),
            "a.b.shop.example",
            "is for `*.shop.example`, not for `a.b.shop.example`",
        ),
        (
            direct(&["*.shop.example"]),
            "shop.example",
            "is for `*.shop.example`, not for `shop.example`",
        ),
        (direct(many.leak()), "n120.example", ""),
        (
            direct(&["a", "b", "c", "d", "e", "f", "g"]),
            "shop.example",
            "is for `a`, `b`, `c`, `d`, `e` and 2 more, not for",
        ),
    ] {
        let fault = inspected(vec![authority.root.clone()], &chain, host).fault();
        match wanted {
            "" => assert_eq!(fault, None, "{host}"),
            text => assert!(
                fault.as_ref().is_some_and(|fault| fault.contains(text)),
                "{text} in {fault:?}"
            ),
        }
    }
}
