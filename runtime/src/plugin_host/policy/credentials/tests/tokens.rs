//! Tokens of OAuth 2.

use super::*;

#[tokio::test]
async fn a_token_is_asked_for_once_by_however_many() {
    let vendor = vendor();
    let address = serve(vendor.clone()).await;
    let access = access(address, oauth(address));
    let checks = (0..50).map(|_| {
        send(
            &access,
            get(format!("http://{address}/health")),
            Some("default"),
        )
    });
    for answer in futures::future::join_all(checks).await {
        assert_eq!(answer.unwrap().status, 200);
    }
    assert_eq!(vendor.tokens.load(Ordering::SeqCst), 1);
    let pair = STANDARD.encode("us%2Fer:p%3Ass+w0rd");
    assert_eq!(
        *vendor.told.lock().unwrap(),
        format!(
            "Basic {pair} grant_type=client_credentials&scope=read+write%3Aall&audience=https%3A%2F%2Fapi.example"
        )
    );

    let mut posted = oauth(address);
    let CredentialKind::OAuth2(login) = &mut posted else {
        unreachable!()
    };
    login.client_auth = ClientAuth::Post;
    let other = Access {
        credential_cache: access.credential_cache.clone(),
        ..super::tests::access(address, posted)
    };
    assert_eq!(
        send(
            &other,
            get(format!("http://{address}/health")),
            Some("default")
        )
        .await
        .unwrap()
        .status,
        200
    );
    assert_eq!(
        vendor.tokens.load(Ordering::SeqCst),
        2,
        "another login is another token"
    );
    assert!(
        vendor
            .told
            .lock()
            .unwrap()
            .ends_with("&client_id=us%2Fer&client_secret=p%3Ass+w0rd")
    );
}

#[tokio::test]
async fn a_token_is_renewed_before_it_ends_and_once_when_it_is_refused() {
    let vendor = vendor();
    let address = serve(vendor.clone()).await;
    let access = access(address, oauth(address));
    let check = async || {
        send(
            &access,
            get(format!("http://{address}/health")),
            Some("default"),
        )
        .await
        .unwrap()
        .status
    };
    let counts = || {
        (
            vendor.tokens.load(Ordering::SeqCst),
            vendor.requests.load(Ordering::SeqCst),
        )
    };
    let later = async |seconds: u64| {
        tokio::time::pause();
        tokio::time::advance(Duration::from_secs(seconds)).await;
        tokio::time::resume();
    };
    assert_eq!((check().await, counts()), (200, (1, 1)));
    later(80).await;
    assert_eq!((check().await, counts()), (200, (1, 2)));
    // 100 s less the margin of a tenth.
    later(11).await;
    assert_eq!((check().await, counts()), (200, (2, 3)));

    // The vendor forgets a token that it took before.
    vendor.tokens.fetch_add(10, Ordering::SeqCst);
    assert_eq!((check().await, counts()), (200, (13, 5)));
    assert_eq!((check().await, counts()), (200, (13, 6)));

    let refusing = Access {
        credential_cache: access.credential_cache.clone(),
        ..super::tests::access(address, oauth(address))
    };
    vendor.tokens.fetch_add(1_000_000, Ordering::SeqCst);
    let before = counts();
    let mut call = get(format!("http://{address}/health"));
    call.headers.push(("x-a".to_owned(), "b".to_owned()));
    assert_eq!(
        send(&refusing, call, Some("default")).await.unwrap().status,
        200
    );
    assert_eq!(counts(), (before.0 + 1, before.1 + 2));
}

#[tokio::test]
async fn a_service_that_takes_no_token_does_not_make_the_login_a_flood() {
    let vendor = vendor();
    vendor.lasts.store(80_000, Ordering::SeqCst);
    let address = serve(vendor.clone()).await;
    let access = access(address, oauth(address));
    let check = async |path: &str| {
        send(
            &access,
            get(format!("http://{address}/{path}")),
            Some("default"),
        )
        .await
        .unwrap()
        .status
    };
    let later = async |seconds: u64| {
        tokio::time::pause();
        tokio::time::advance(Duration::from_secs(seconds)).await;
        tokio::time::resume();
    };
    let tokens = || vendor.tokens.load(Ordering::SeqCst);
    let mut asked = Vec::new();
    // A check every ten seconds for an hour.
    for _ in 0..360 {
        assert_eq!(check("never").await, 401);
        asked.push(tokens());
        later(10).await;
    }
    assert!(
        asked[..3].iter().all(|count| *count == 1),
        "a young token is not renewed: {asked:?}"
    );
    assert_eq!(asked[4], 2, "an older one is");
    // After pauses of 60, 120, 240, 480, 960 and 1920 s, or the check behind.
    assert!((6..=8).contains(&tokens()), "{asked:?}");

    // A renewal that helps makes the next one as soon as ever.
    later(3_600).await;
    vendor.tokens.fetch_add(1_000, Ordering::SeqCst);
    assert_eq!(check("health").await, 200);
    later(31).await;
    vendor.tokens.fetch_add(1_000, Ordering::SeqCst);
    assert_eq!(check("health").await, 200);
}

#[tokio::test]
async fn each_credential_has_its_own_pace_of_renewals() {
    const PACE: Duration = Duration::from_secs(600);
    let vendor = vendor();
    vendor.lasts.store(80_000, Ordering::SeqCst);
    let address = serve(vendor.clone()).await;
    let CredentialKind::OAuth2(one) = oauth(address) else {
        unreachable!()
    };
    let two = OAuth2 {
        client_id: "another".to_owned(),
        ..one.clone()
    };
    let net = Net::new(NetSettings::default()).unwrap();
    let login = |oauth| Login {
        net: &net,
        oauth,
        name: "default",
        service: "shop",
        allow_private: true.into(),
    };
    let (one, two) = (login(&one), login(&two));
    let cache = CredentialCache::default();
    let deadline = Instant::now() + Duration::from_secs(3_600);
    let mut taken = Vec::new();
    for login in [&one, &two] {
        let first = cache.token(login, deadline).await.unwrap();
        first.note_taken();
        let second = cache.renewed(login, &first, PACE, deadline).await.unwrap();
        let second = second.expect("no other one was renewed before");
        second.note_taken();
        let third = cache.renewed(login, &second, PACE, deadline).await.unwrap();
        assert!(third.is_none(), "too soon");
        taken.push(second);
    }
    tokio::time::pause();
    tokio::time::advance(PACE).await;
    tokio::time::resume();
    let third = cache.renewed(&one, &taken[0], PACE, deadline).await;
    assert!(third.unwrap().is_some());
    assert_eq!(vendor.tokens.load(Ordering::SeqCst), 5);
}

#[tokio::test]
async fn a_token_endpoint_that_fails_is_named_without_secrets_and_left_alone_for_a_moment() {
    let vendor = vendor();
    vendor.is_down.store(401, Ordering::SeqCst);
    let address = serve(vendor.clone()).await;
    let mut kind = oauth(address);
    let CredentialKind::OAuth2(login) = &mut kind else {
        unreachable!()
    };
    login.client_auth = ClientAuth::Post;
    let access = access(address, kind);
    let checks = (0..20).map(|_| {
        send(
            &access,
            get(format!("http://{address}/health")),
            Some("default"),
        )
    });
    for answer in futures::future::join_all(checks).await {
        let failure = answer.unwrap_err();
        let text = access.secrets.redact(&failure.to_string());
        assert!(
            matches!(failure.error, NetError::Protocol(_)),
            "{failure:?}"
        );
        let wanted = format!(
            "credential `default` got no token from `http://{address}/token`: answered 401: invalid_client (not grant"
        );
        assert!(
            text.starts_with(&wanted) && text.contains("client_secret=***"),
            "{text}"
        );
        assert!(!text.contains("w0rd") && !text.contains("h1dden"), "{text}");
    }
    assert_eq!(vendor.tokens.load(Ordering::SeqCst), 1);
    assert_eq!(vendor.requests.load(Ordering::SeqCst), 0);

    vendor.is_down.store(0, Ordering::SeqCst);
    tokio::time::pause();
    tokio::time::advance(Duration::from_secs(2)).await;
    tokio::time::resume();
    assert_eq!(
        send(
            &access,
            get(format!("http://{address}/health")),
            Some("default")
        )
        .await
        .unwrap()
        .status,
        200
    );
}

#[tokio::test]
async fn the_token_endpoint_is_under_the_same_policy() {
    let address = serve(vendor()).await;
    for (url, wanted) in [
        (
            format!("http://{address}/echo"),
            "answered 302; redirects are not followed",
        ),
        ("http://169.254.169.254/token".to_owned(), "never allowed"),
        (
            "http://[::ffff:169.254.169.254]/token".to_owned(),
            "never allowed",
        ),
    ] {
        let mut kind = oauth(address);
        let CredentialKind::OAuth2(login) = &mut kind else {
            unreachable!()
        };
        login.token_url = url;
        let access = access(address, kind);
        let failure = send(
            &access,
            get(format!("http://{address}/health")),
            Some("default"),
        )
        .await
        .unwrap_err();
        assert!(failure.to_string().contains(wanted), "{failure}");
    }
}
